-- A workout for a Lua built from source: what it prints must not depend on the compiler.
local text = io.read("a")

local function check(holds, what)
    if not holds then
        io.stderr:write("failed: ", what, "\n")
        os.exit(1)
    end
end

-- strings and patterns
local words, order = {}, {}
for word in text:gmatch("%a+") do
    word = word:lower()
    if not words[word] then
        order[#order + 1] = word
    end
    words[word] = (words[word] or 0) + 1
end
table.sort(order, function(a, b)
    if words[a] ~= words[b] then
        return words[a] > words[b]
    end
    return a < b
end)
for i = 1, math.min(20, #order) do
    print(order[i], words[order[i]], order[i]:rep(2, "-"), order[i]:reverse())
end
local escaped = text:sub(1, 5000):gsub("[^%w ]", function(c)
    return string.format("%%%02x", c:byte())
end)
local back = escaped:gsub("%%(%x%x)", function(h)
    return string.char(tonumber(h, 16))
end)
check(back == text:sub(1, 5000), "escape round trip")
print(#escaped, escaped:sub(-60))

-- string.pack there and back
local packed = {}
for i = 1, 2000 do
    packed[i] = string.pack("<i4dz", i * 7919, i / 7, tostring(i))
end
for i, p in ipairs(packed) do
    local whole, fraction, name = string.unpack("<i4dz", p)
    check(whole == i * 7919 and fraction == i / 7 and name == tostring(i), "pack round trip")
end

-- numbers: integers that wrap, floats to their last bit
local h = 0
for i = 1, 200000 do
    h = (h ~ i) * 0x100000001b3
    h = h ~ (h >> 29)
end
print(string.format("%016x", h))
local sum = 0.0
for i = 1, 100000 do
    sum = sum + math.sin(i) / i ^ 1.5 + math.fmod(i, 7.25)
end
print(string.format("%a", sum))

-- tables, closures, metatables, coroutines, the collector
local Matrix = {}
Matrix.__index = Matrix
Matrix.__mul = function(a, b)
    local c = setmetatable({}, Matrix)
    for i = 1, #a do
        c[i] = {}
        for j = 1, #b[1] do
            local s = 0
            for k = 1, #b do
                s = s + a[i][k] * b[k][j]
            end
            c[i][j] = s % 1000003
        end
    end
    return c
end
local m = setmetatable({}, Matrix)
for i = 1, 24 do
    m[i] = {}
    for j = 1, 24 do
        m[i][j] = (i * 31 + j * 17) % 101
    end
end
local power = m
for _ = 1, 12 do
    power = power * m
end
print(power[1][1], power[7][13], power[24][24])

local function primes(limit)
    return coroutine.wrap(function()
        local composite = {}
        for n = 2, limit do
            if not composite[n] then
                coroutine.yield(n)
                for k = n * n, limit, n do
                    composite[k] = true
                end
            end
        end
    end)
end
local count, last = 0, 0
for p in primes(50000) do
    count, last = count + 1, p
end
check(count == 5133 and last == 49999, "primes below 50000")

for i = 1, 20 do
    local junk = {}
    for j = 1, 5000 do
        junk[j] = { j, tostring(j) }
    end
    collectgarbage(i % 3 == 0 and "collect" or "step")
end
print(select("#", table.unpack(order, 1, math.min(200, #order))))
print(pcall(error, "as it should"))
