"""SEED SIZE [TIMES]: a database in memory: inserts, indices, joins, groups, patterns, JSON; print checksums.

The rows are few and the questions many: making rows is the interpreter's work.
"""

import random
import sys
import zlib

from programs import ran

SCHEMA = """
create table customer(id integer primary key, name text, town text);
create table sale(id integer primary key, customer int, day int, amount real, note text, doc text);
"""
QUESTIONS = """
create index sale_customer on sale(customer, day);
create index customer_town on customer(town collate nocase);
select town, count(*), round(sum(amount), 2) from customer join sale on customer = customer.id group by town
  order by 3;
select day, avg(amount), max(length(note)), group_concat(substr(note, 1, 3)) from sale where note like '%e_a%'
  group by day;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) select sum(i * i % 7), count(*) from n;
select count(distinct lower(substr(name, 2))), min(name), upper(max(name)) from customer where town between 'd' and 's';
select sum(json_extract(doc, '$.parts[1]')), count(*) from sale where json_extract(doc, '$.kind') = 'b';
update sale set amount = amount * 1.25, note = note || day where customer % 3 = 0;
select a.id, b.id, a.amount from sale a join sale b on a.customer = b.customer and a.day = b.day and a.id < b.id
  order by a.amount desc, 1, 2 limit 50;
delete from sale where note glob '*z*' or amount > 900;
select customer, day, sum(amount) over (partition by customer order by day, id) from sale
  order by 3 desc, 1, 2 limit 40;
select count(*), round(total(amount), 3), sum(id), max(note) from sale;
"""
ROUND = """
select town, count(*), total(amount), min(note) from customer join sale on customer = customer.id
  where day between {0} % 20 and {0} % 20 + 9 group by town having count(*) > 2 order by 3 desc;
select day % 7, group_concat(substr(upper(note), {0} % 5 + 1, 2), ''), avg(length(doc)) from sale
  where note like '%{1}%' or doc glob '*{1}*' group by 1 order by 1;
select json_extract(doc, '$.parts[2]') as part, count(*), sum(amount) from sale group by part order by 3 limit 9;
select count(*) from sale a join sale b on a.day = b.day + 1 and a.customer = b.customer where a.amount < b.amount;
insert or ignore into sale select id + 100000 * ({0} + 1), customer, (day + 1) % 30, amount / 2, note || '{1}', doc
  from sale where day = {0} % 30;
delete from sale where id >= 100000 * ({0} + 1) and amount < 200;
select id, round(amount, 2) from sale where customer in (select id from customer where name > '{1}')
  order by amount + id % 13 limit 20;
"""
END = """
vacuum;
pragma integrity_check;
"""

ROUNDS = 400

seed, size, *times = map(int, sys.argv[1:])
rng = random.Random(seed)


def word() -> str:
    return "".join(rng.choices("etaoinshrdlucmfwypz", k=rng.randint(2, 9)))


for _ in range(times[0] if times else 1):
    lines = [SCHEMA, "begin;"]
    for i in range(size // 10):
        lines.append(f"insert into customer values({i}, '{word().title()}', '{word()[:3]}');")
    for i in range(size):
        doc = f'{{"kind": "{rng.choice("abc")}", "parts": [{rng.randrange(9)}, {rng.randrange(99)}, "{word()}"]}}'
        note = " ".join(word() for _ in range(rng.randint(1, 9)))
        lines.append(
            f"insert into sale values({i}, {rng.randrange(size // 10)}, {rng.randrange(30)}, "
            f"{rng.random() * 1000:.3f}, '{note}', '{doc}');"
        )
    lines += ["commit;", QUESTIONS]
    lines += [ROUND.format(i, rng.choice("etaoinshrdlu")) for i in range(ROUNDS)]
    lines.append(END)
    said = ran("\n".join(lines).encode(), "sqlite3", "-batch", ":memory:")
    print(len(said), zlib.crc32(said))
