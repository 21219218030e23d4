import pytest

from supercube.files import write_whole


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path, durable):
    path = tmp_path / "answer.csv"
    path.write_text("old")
    write_whole(path, b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert [found.name for found in tmp_path.iterdir()] == ["answer.csv"]


def test_a_write_that_fails_leaves_the_old_file_and_no_half(tmp_path, monkeypatch):
    path = tmp_path / "answer.csv"
    path.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["answer.csv"]
