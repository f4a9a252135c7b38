"""A program whose hot function obeys invariants, built in mode record, run, and what was recorded of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gccllm.base import config
from gccllm.base.core import Request
from gccllm.base.deadline import Deadline
from gccllm.base.events import Log
from gccllm.commands.oneshot import request_for
from gccllm.commands.record_run import Recording, run
from gccllm.pipeline import Result, rewrite_unit
from gccllm.record.store import TestStore
from gccllm.record_unit import record_unit
from gccllm.store import Store
from gccllm.unit.session import Build

UNIT = """
struct slot { unsigned key; int next; long value; };
struct table { struct slot *slots; int *buckets; unsigned mask; int count; };

/* Nothing makes a value for `scale`: only recorded calls have one. */
double weigh(const struct table *t, unsigned key, const _Complex double *scale) {
    double found = 0;
    for (int i = t->buckets[key & t->mask]; i >= 0; i = t->slots[i].next)
        if (t->slots[i].key == key) found += t->slots[i].value * __real__ scale[i & 3];
    return found;
}

/* Has a loop and is never called. */
long idle(const long *p, int n) { long s = 0; for (int i = 0; i < n; i++) s ^= p[i]; return s; }
"""
MAIN = """
#include <stdio.h>
#include <stdlib.h>
struct slot { unsigned key; int next; long value; };
struct table { struct slot *slots; int *buckets; unsigned mask; int count; };
double weigh(const struct table *t, unsigned key, const _Complex double *scale);

int main(void) {
    struct table t = {malloc(300 * sizeof(struct slot)), malloc(8 * sizeof(int)), 7, 300};
    _Complex double scale[4] = {1, 0.5, 2, -1};
    double total = 0;
    for (int i = 0; i < 8; i++) t.buckets[i] = -1;
    for (int i = 0; i < t.count; i++) {
        unsigned key = (unsigned)(i * 2654435761u) >> 25; /* most keys lie in two or three slots */
        t.slots[i] = (struct slot){key, t.buckets[key & 7], i};
        t.buckets[key & 7] = i;
    }
    for (int i = 0; i < 3000; i++) total += weigh(&t, (unsigned)(i * 40503u) >> 3 & 127, scale);
    printf("%.3f\\n", total);
    return 0;
}
"""


class Program:
    """One directory: sources, a store, a log, and the program built both ways."""

    def __init__(self, where: Path, unit: str = UNIT, main: str = MAIN) -> None:
        self.where = where
        self.unit, self.main = where / "unit.c", where / "main.c"
        self.unit.write_text(unit)
        self.main.write_text(main)
        self.store = Store(where / "store")
        self.log = Log(where / "store")
        self.tests = TestStore.of(where / "store")

    def settings(self, **values: object) -> config.Settings:
        given = {"cache_dir": str(self.where / "store"), "proposers": "recompile", "budget": 100_000.0, **values}
        return config.load(self.where, {}).with_values(**given)

    @property
    def request(self) -> Request:
        return request_for(self.unit, ["-O3"], cwd=self.where)

    def record(self, calls: int = 60) -> Result:
        """Build with stubs, run, keep what was recorded."""
        result = record_unit(self.request, Build(self.settings(), self.store, self.log))
        assert result.text is not None, result
        (self.where / "unit.s").write_text(result.text, "latin-1")
        program = str(self.where / "recorded")
        subprocess.run(["gcc", "-O2", str(self.main), str(self.where / "unit.s"), "-o", program], check=True)
        # On a busy machine three percent of a short program's time is a handful of calls.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GCCLLM_RECORD_CPU", "100000")
            assert run([program], self.tests, Recording(self.where / "runs", calls)) == 0
        return result

    def build(self, **values: object) -> Result:
        deadline = Deadline(3600)
        return rewrite_unit(self.request, Build(self.settings(**values), self.store, self.log, deadline))
