"""Test inputs for one function: types from DWARF, typed scenes, a search guided by coverage, inputs for timing.

`dwarf.signature_of` → `probe.HarvestTarget.of` → `harvest.harvest`; `harvest.more_near` for further inputs. Nothing is
imported here: `types` must stay loadable without the verifier.
"""
