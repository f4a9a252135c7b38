"""SEED SIZE [TIMES]: scripts on lupa's Lua: sorting, strings, patterns, tables, closures; print what they return."""

import random
import sys

import lupa.lua54

SCRIPT = """
local words, count = ...
local function sieve(n)
  local composite, found = {}, 0
  for i = 2, n do
    if not composite[i] then
      found = found + 1
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return found
end
local list = {}
for word in string.gmatch(words, "%a+") do list[#list + 1] = word end
table.sort(list, function(a, b) return #a < #b or (#a == #b and a < b) end)
local seen, unique = {}, 0
for _, word in ipairs(list) do
  local turned = word:reverse():upper():gsub("[AEIOU]", "*")
  if not seen[turned] then seen[turned] = true; unique = unique + 1 end
end
local parts = {}
for i = 1, count do parts[#parts + 1] = string.format("%d:%s:%.3f", i, list[i % #list + 1], i / 7) end
local joined = table.concat(parts, ",")
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local packed = string.pack("<i4 d s2", count, count / 3, list[1])
local co = coroutine.wrap(function() for i = 1, count do coroutine.yield(i * i) end end)
local squares = 0
for _ = 1, count do squares = squares + co() end
local at = joined:find("99:", 1, true) or 0
return table.concat({sieve(count * 4), #list, unique, #joined, fib(18), #packed, squares, at, list[#list]}, " ")
"""

seed, size, *times = map(int, sys.argv[1:])
rng = random.Random(seed)
known = ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 9))) for _ in range(900)]
lua = lupa.lua54.LuaRuntime()
script = lua.eval(f"function(...) {SCRIPT} end")
for part in (size, size // 3, 40, 1) * (times[0] if times else 1):
    print(script(" ".join(rng.choices(known, k=part)), part))
