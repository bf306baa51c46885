"""How well a clip is produced: physical faults with severities, and the hidden quality they leave.

A clip's *quality* in [0, 1] is the product over its faults of ``1 − FAULT_WEIGHTS[f]·severity``:
1 for a clean clip, falling with each fault's severity. No caption mentions it; the simulated
listeners and no model hear it as a number. The chain, in the order of a signal path, is

    room (mud) → low-pass (dull) → narrow band (telephone) → level
    → overdrive (clipping) → hum and hiss → drop-outs → final level

Up to the level everything is linear, and it is the same linear system and the same random draws
for the instruments and for the voice; overdrive threshold, hum and hiss are set from the mix and
used again, unchanged, for the instruments alone. Hence for a clip without overdrive
``mix − instrumental = vocals`` exactly, and with it nearly; a separation trainer should take
``instrumental + vocals`` as its mixture, which is exact by construction.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from attm_companion.arrays import Array
from attm_core.errors import InputError

Wave = Array

# What a fault of severity 1 takes away from the quality.
# MINI-WORLD: only faults that a mel spectrogram of 64 bands can show: all judges read one. A
# wandering tape speed of less than a semitone is not among them, since none of them noticed it.
FAULT_WEIGHTS: dict[str, float] = {
    "hiss": 0.60,
    "dull": 0.55,
    "clipping": 0.75,
    "hum": 0.55,
    "telephone": 0.70,
    "dropouts": 0.70,
    "mud": 0.55,
}
FAULTS = tuple(FAULT_WEIGHTS)

# How many faults a clip has (probabilities of 0, 1, 2, 3) and how severe each is.
ORDINARY_COUNTS, ORDINARY_SEVERITY = (0.15, 0.35, 0.30, 0.20), (0.15, 1.0)
CURATED_COUNTS, CURATED_SEVERITY = (0.60, 0.40, 0.0, 0.0), (0.05, 0.35)

MEAN_LEVEL_DBFS, LEVEL_SPREAD_DB = -21.0, 1.5
DYNAMICS_DB = {"soft": -5.0, "medium": 0.0, "loud": 3.5}
PEAK_CEILING = 0.95
MAINS_HZ = 50.0
PAD_S = 0.5  # of silence, so that filters do not wrap round


@dataclass(frozen=True)
class Produced:
    """What a listener gets: mix, instruments alone, and the voice before overdrive; each (S,)."""

    mix: Wave
    instrumental: Wave
    vocals: Wave


def draw_faults(curated: bool, generator: np.random.Generator) -> dict[str, float]:
    """Severity of every fault in [0, 1]; most are 0."""
    counts = CURATED_COUNTS if curated else ORDINARY_COUNTS
    low, high = CURATED_SEVERITY if curated else ORDINARY_SEVERITY
    severities = dict.fromkeys(FAULTS, 0.0)
    for fault in generator.choice(FAULTS, size=generator.choice(4, p=counts), replace=False):
        severities[str(fault)] = round(float(generator.uniform(low, high)), 4)
    return severities


def quality_of(severities: Mapping[str, float]) -> float:
    """The hidden quality, in [0, 1]; raises ``InputError`` for an unknown fault or severity."""
    quality = 1.0
    for fault, severity in severities.items():
        if fault not in FAULT_WEIGHTS or not 0.0 <= severity <= 1.0:
            raise InputError(f"no fault {fault!r} of severity {severity}; faults: {FAULTS}, 0 to 1")
        quality *= 1.0 - FAULT_WEIGHTS[fault] * severity
    return quality


def draw_level_dbfs(dynamics: str, generator: np.random.Generator) -> float:
    """Root-mean-square level of a clip, so that clips are not all equally loud."""
    spread = float(np.clip(generator.normal(), -2, 2)) * LEVEL_SPREAD_DB
    return MEAN_LEVEL_DBFS + DYNAMICS_DB[dynamics] + spread


def produce(
    instrumental: Wave,
    vocals: Wave,
    severities: Mapping[str, float],
    level: tuple[float, int],
    generator: np.random.Generator,
) -> Produced:
    """Send clean instruments and voice (S,), zeros if there is none, through the chain.

    ``severities`` are of `FAULTS`, a fault left out is 0; ``level`` is the root-mean-square level
    of the mix in dBFS and the sample rate in Hz; the generator is the source of all noise.

    Raises:
        InputError: a silent mix or a bad severity.
    """
    level_dbfs, rate = level
    quality_of(severities)  # refuses bad severities
    amount = {fault: severities.get(fault, 0.0) for fault in FAULTS}
    stems = _linear_faults(
        np.stack([instrumental, vocals]).astype(np.float64), amount, rate, generator
    )
    loudness = rms(stems.sum(axis=0))
    if loudness < 1e-6:
        raise InputError("a clip must not be silent")
    stems *= 10 ** (level_dbfs / 20) / loudness
    heard = np.stack([stems.sum(axis=0), *stems])  # mix, instrumental, vocals
    target = 10 ** (level_dbfs / 20)
    heard[:2] = overdrive(heard[:2], amount["clipping"], target)
    heard[:2] += target * background(heard.shape[1], rate, amount, generator)
    heard *= dropout_gain(heard.shape[1], rate, amount["dropouts"], generator)
    heard *= min(1.0, PEAK_CEILING / float(np.abs(heard).max()))
    return Produced(*heard)


def rms(wave: Wave) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(wave))))


def _linear_faults(
    stems: Wave, amount: Mapping[str, float], rate: int, generator: np.random.Generator
) -> Wave:
    n_samples = stems.shape[-1]

    if any(amount[fault] > 0 for fault in ("mud", "dull", "telephone")):
        length = next_fast_len(n_samples + int(PAD_S * rate), real=True)
        response = filter_response(length, rate, amount)
        if amount["mud"] > 0:
            response = response * rfft(room(rate, amount["mud"], generator), length)
        stems = irfft(rfft(stems, length) * response, length)[:, :n_samples]
    return stems


def filter_response(length: int, rate: int, amount: Mapping[str, float]) -> Wave:
    """Gain at each frequency of a real FFT: for *mud*, *dull* and *telephone*.

    *mud* lifts two octaves around 250 Hz by 4 + 10·severity dB; *dull* cuts off (−3 dB) at
    6 kHz × 0.15^severity, *telephone* at 120 × 4.2^severity Hz below and 5.5 kHz × 0.4^severity
    above, at 24 dB per octave. There is no phase shift.
    """
    frequency = np.fft.rfftfreq(length, 1 / rate)
    gain = np.ones_like(frequency)
    if amount["mud"] > 0:
        octaves = np.log2(np.maximum(frequency, 1.0) / 250.0)
        gain *= 10 ** ((4 + 10 * amount["mud"]) / 20 * np.exp(-0.5 * octaves**2))
    if amount["dull"] > 0:
        gain *= _low_pass(frequency, 6_000 * 0.15 ** amount["dull"])
    if amount["telephone"] > 0:
        gain *= _low_pass(frequency, 5_500 * 0.4 ** amount["telephone"])
        low = 120 * 4.2 ** amount["telephone"]
        gain *= (frequency / low) ** 4 / np.sqrt(1 + (frequency / low) ** 8)
    return gain


def _low_pass(frequency: Wave, cutoff_hz: float) -> Wave:
    gain: Wave = 1 / np.sqrt(1 + (frequency / cutoff_hz) ** 8)
    return gain


def room(rate: int, severity: float, generator: np.random.Generator) -> Wave:
    """Impulse response: the direct sound and a dark tail as strong as −12 to +6 dB of it."""
    duration_s = 0.6 + 1.4 * severity  # time in which the tail falls by 60 dB
    time = np.arange(int(0.5 * rate)) / rate
    tail = generator.normal(size=len(time)) * 10 ** (-3 * time / duration_s)
    tail = np.convolve(tail, np.ones(8) / 8)[: len(time)]
    tail[: int(0.01 * rate)] = 0.0
    response: Wave = tail * 10 ** ((-12 + 18 * severity) / 20) / np.sqrt(np.sum(tail**2))
    response[0] = 1.0
    return response


def overdrive(waves: Wave, severity: float, level: float) -> Wave:
    """Cut samples off at 9 − 10·severity dB above the RMS level of the mix."""
    if severity <= 0:
        return waves
    ceiling = level * 10 ** ((9 - 10 * severity) / 20)
    return np.clip(waves, -ceiling, ceiling)


def background(
    n_samples: int, rate: int, amount: Mapping[str, float], generator: np.random.Generator
) -> Wave:
    """Hiss and hum for a programme of RMS 1.

    Hiss is white, 36 − 26·severity dB below the programme; hum is 50 Hz with five harmonics,
    30 − 24·severity dB below it.
    """
    noise = np.zeros(n_samples)
    if amount["hiss"] > 0:
        noise += generator.normal(size=n_samples) * 10 ** ((-36 + 26 * amount["hiss"]) / 20)
    if amount["hum"] > 0:
        time = np.arange(n_samples) / rate
        hum = sum(
            np.sin(2 * np.pi * MAINS_HZ * k * time + generator.uniform(0, 2 * np.pi)) / k
            for k in range(1, 7)
        )
        noise += hum / rms(np.asarray(hum)) * 10 ** ((-30 + 24 * amount["hum"]) / 20)
    return noise


def dropout_gain(
    n_samples: int, rate: int, severity: float, generator: np.random.Generator
) -> Wave:
    """Gain (S,) that falls 1 + 7·severity times by 10 + 30·severity dB for 40–200 ms."""
    gain_db = np.zeros(n_samples)
    if severity > 0:
        edge = int(0.008 * rate)
        for _ in range(1 + round(7 * severity)):
            width = int(generator.uniform(0.04, 0.2) * rate)
            start = int(generator.integers(0, max(1, n_samples - width)))
            shape = np.minimum(1.0, np.minimum(np.arange(width), np.arange(width)[::-1]) / edge)
            hole = gain_db[start : start + width]
            np.minimum(hole, -(10 + 30 * severity) * shape[: len(hole)], out=hole)
    return 10 ** (gain_db / 20)
