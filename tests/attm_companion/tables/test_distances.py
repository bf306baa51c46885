import math

import numpy as np
import pytest

from attm_companion.tables import distances
from attm_companion.tables.distances import _mauve, density_and_coverage, kernel_distance
from attm_core.errors import InputError
from attm_core.evaluation.frechet import frechet_by_size, frechet_distance, frechet_infinity


@pytest.fixture
def sets() -> tuple[np.ndarray, np.ndarray]:
    """30 generated and 40 reference embeddings; what the published tools say of them is below."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(30, 6))
    return x.round(6), (rng.normal(size=(40, 6)) * 1.3 + 0.4).round(6)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_kernel_distance_by_hand_and_by_the_published_code(sets):
    # Distances² 4 and 0 within, (0, 4) between the first and (4, 0) the second, σ = √2: e⁰, e⁻¹.
    x, y = [[0.0], [2.0]], [[0.0], [0.0]]
    expected = math.exp(-1) + 1 - 2 * (1 + math.exp(-1)) / 2
    assert kernel_distance(x, y, math.sqrt(2)) == pytest.approx(100 * expected, abs=1e-12)
    assert kernel_distance([[0.0], [0.0]], [[9.0], [9.0]], 0.1) == pytest.approx(200)
    # kadtk 8bda71d, calc_kernel_audio_distance in float64.
    assert kernel_distance(*sets, 1.5) == pytest.approx(7.66602730, rel=1e-8)
    # It takes the lower of the two middle distances, not their mean.
    assert kernel_distance(*sets) == pytest.approx(6.85875910, rel=1e-3)


def test_kernel_distance_is_unbiased() -> None:
    rng = generator()
    same = [kernel_distance(*rng.normal(size=(2, 15, 4)), 2.0) for _ in range(400)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 20
    assert min(same) < 0


def test_density_and_coverage_by_hand_and_by_the_published_code(sets):
    # Reference 0, 1, 3: radii to the nearest other 1, 1, 2. Clips 0.5 and 0.6 lie in the first two
    # balls, 9 in none: density 4/3, coverage 2/3.
    found = density_and_coverage([[0.5], [0.6], [9.0]], [[0.0], [1.0], [3.0]], k=1)
    assert found == pytest.approx((4 / 3, 2 / 3))
    # clovaai/generative-evaluation-prdc e320c1d, compute_prdc(real, fake, 5).
    assert density_and_coverage(*sets) == pytest.approx((1.4266666667, 0.8))
    # A collapsed set has density without coverage.
    reference = generator().normal(size=(60, 3))
    density, coverage = density_and_coverage(np.repeat(reference[:1], 60, axis=0), reference)
    assert density > 0.5
    assert coverage < 0.2


def test_mauve_by_hand_and_by_the_published_code(sets):
    # Disjoint: the curve is ((1 − w)⁵, w⁵), of area 1/252; the trapezia lie above it.
    assert _mauve(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(1 / 252, rel=0.03)
    assert _mauve(np.array([0.25, 0.75]), np.array([0.25, 0.75])) == pytest.approx(1.0)
    assert distances.mauve_divergence(sets[0], sets[0], generator()) == 0.0
    # krishnap25/mauve 2e596ea: divergence curve and both areas.
    p, q = np.array([0.5, 0.2, 0.1, 0.2, 0.0]), np.array([0.1, 0.3, 0.3, 0.2, 0.1])
    assert _mauve(p, q) == pytest.approx(0.521530944831847, rel=1e-12)
    assert _mauve(q, p) == pytest.approx(_mauve(p, q), rel=1e-12)


def test_mauve_divergence_finds_three_clusters() -> None:
    # 4, 4, 12 and 10, 5, 5 of 20 around three far directions; the value by the published curve.
    def around(counts: list[int], seed: int) -> np.ndarray:
        rows = np.repeat(np.eye(3) * 50, counts, axis=0)
        return rows + np.random.default_rng(seed).normal(size=rows.shape)

    found = distances.mauve_divergence(around([4, 4, 12], 1), around([10, 5, 5], 2), generator(), 3)
    assert found == pytest.approx(0.22335740871907378, rel=1e-9)


def test_frechet_infinity_removes_the_bias_of_few_clips() -> None:
    rng = generator()
    reference = rng.normal(size=(4000, 8))
    clips, sizes = rng.normal(size=(160, 8)), (20, 40, 80, 160)
    by_size = frechet_by_size(clips, reference, sizes, rng)
    assert list(by_size) == sorted(by_size, reverse=True)
    assert by_size[-1] == pytest.approx(frechet_distance(clips, reference))
    assert abs(frechet_infinity(sizes, by_size)) < by_size[-1] / 2


def test_bad_requests_are_refused(sets: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match="width 6 but the reference 2"):
        kernel_distance(sets[0], np.zeros((4, 2)))
    with pytest.raises(InputError, match="bandwidth must be positive"):
        kernel_distance(sets[0], np.zeros((4, 6)))
    with pytest.raises(InputError, match="k must lie between"):
        density_and_coverage(*sets, k=40)
    with pytest.raises(InputError, match="clusters, got 1"):
        distances.mauve_divergence(*sets, generator(), 1)
    with pytest.raises(InputError, match="between 2 and 30"):
        frechet_by_size(*sets, (10, 31), generator())
    with pytest.raises(InputError, match="two different sizes"):
        frechet_infinity((10, 10), [1.0, 1.0])
