from designs.processes import MATERIALS, PROCESSES, find_material, find_process


def test_every_alias_means_one_thing():
    names = [n for p in PROCESSES for n in {p.id, p.tsdc, p.wikidata, p.fablabs, *p.aliases}]
    assert len(names) == len(set(names))
    names = [n for m in MATERIALS for n in {m.id, *m.aliases}]
    assert len(names) == len(set(names))


def test_processes_are_found_by_what_others_call_them():
    assert {find_process(n) for n in ("LAS", "Q3062349", "laser", "Laser cutting")} == {
        find_process("laser_cutting")
    }
    assert find_process("knitting") is None


def test_materials_are_found_and_know_only_known_processes():
    found = find_material("Plexiglass")
    assert found is not None
    assert found.id == "acrylic"
    ids = {p.id for p in PROCESSES}
    assert all(set(m.processes) <= ids for m in MATERIALS)
    assert find_material("unobtainium") is None
