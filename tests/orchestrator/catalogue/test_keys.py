"""Keys that are shown once: what is stored opens nothing, and only the key itself fits."""

from orchestrator.catalogue import keys


def test_a_key_fits_what_was_kept_of_it_and_nothing_else() -> None:
    key, other = keys.drawn("maintainer"), keys.drawn("maintainer")
    stored = keys.kept(key)
    assert key not in stored
    assert key.startswith("maintainer-")
    assert len("maintainer-") + 32 <= len(key) <= keys.LONGEST
    assert keys.fits(key, stored)
    assert keys.fits(f" {key}\n", stored)
    for wrong in (other, "", stored, key[:-1], "é" * 20):
        assert not keys.fits(wrong, stored)
    assert not keys.fits("", None)
    assert not keys.fits(key, None)
