import matplotlib
import pytest
from matplotlib.figure import Figure

from attm_companion.book import figures
from attm_core.errors import InputError


@pytest.fixture
def figure():
    drawn = Figure(figsize=(2, 1), facecolor="none")
    drawn.add_subplot().plot([0, 1], [0, 1])
    return drawn


@pytest.fixture
def shown(monkeypatch):
    calls = []
    monkeypatch.setattr("attm_companion.book.figures.display", lambda *a, **k: calls.append((a, k)))
    return calls


@pytest.mark.parametrize("alt", ["", "figure.png", "a plot", "9f86d081884c7d65"])
def test_a_figure_without_a_sentence_is_refused(figure, shown, alt):
    with pytest.raises(InputError, match="describe the figure"):
        figures.show_figure(figure, alt)
    assert shown == []


def test_the_background_is_opaque_and_bytes_are_the_same_twice(figure, tmp_path):
    first = figures.png_bytes(figure)
    assert first == figures.png_bytes(figure)
    (tmp_path / "a.png").write_bytes(first)
    pixels = matplotlib.image.imread(tmp_path / "a.png")
    assert pixels[0, 0].tolist() == [1.0, 1.0, 1.0, 1.0]


def test_colours_and_markers_differ_together():
    assert len(set(figures.PALETTE)) == len(set(figures.MARKERS)) == len(figures.PALETTE) == 8
    with matplotlib.rc_context():
        figures.use_style()
        keys = matplotlib.rcParams["axes.prop_cycle"].by_key()
        assert keys == {"color": list(figures.PALETTE), "marker": list(figures.MARKERS)}
        assert matplotlib.rcParams["savefig.facecolor"] == "white"


def test_a_figure_carries_its_description_and_a_picture_in_it_keeps_its_colours(figure, shown):
    figures.show_figure(figure, "Line chart that rises from 0 to 1", "A rise")
    ((bundle,), options) = shown[0]
    assert bundle["image/png"].startswith(b"\x89PNG") and options["raw"]
    assert options["metadata"]["image/png"]["alt"] == "Line chart that rises from 0 to 1"
    with matplotlib.rc_context({"axes.grid": True}):
        axes = Figure().add_subplot()
        axes.imshow([[0, 1], [1, 0]])
        figures.show_figure(axes.figure, "A chequered picture of two by two")
    assert not any(line.get_visible() for line in axes.get_xgridlines())
    plots = [options["metadata"]["image/png"]["plot"] for _, options in shown]
    assert plots == [True, False]
