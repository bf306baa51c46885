"""What one generation costs, part by part: wall seconds, resident memory, parameters.

``accounted(cast)`` puts a clock before every role of a cast; nothing else knows of it:

    cast, account = accounted(cast)
    with account:
        clips = make_clips(request, cast)
    print(account.table())

Where a role hides several networks (text encoder and CLAP behind ``encode_text``, VAE and vocoder
behind the codec), its outermost ``torch`` modules are timed one by one, by PyTorch's own hooks.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks

from attm_core.errors import ConfigError
from attm_core.files import write_json
from attm_core.generation.clips import Cast

TEXT = "text encoder and conditioning CLAP"
BACKBONE = "backbone sampling"
CODEC = "codec decode"
SEPARATION = "separation"
LOUDNESS = "loudness"  # no role of the cast: all between the last separation and the listener
LISTENER = "listener"
REST = "rest"
ORDER = (TEXT, BACKBONE, CODEC, SEPARATION, LOUDNESS, LISTENER, REST)
SAMPLED_EVERY_S = 0.01
STATM = Path("/proc/self/statm")
MB = 1e6


@dataclass
class Cost:
    """What a part has cost so far.

    Attributes:
        calls: how often it was asked; one for each velocity, and for each separation pass.
        wall_s: by the clock, in seconds.
        peak_memory_mb: most memory that the whole process held meanwhile, in 10⁶ bytes; None where
            it is not known: for modules inside a part, and where there is no ``/proc``.
        parameters: weights of its networks; None if it has none or they cannot be seen.
    """

    calls: int = 0
    wall_s: float = 0.0
    peak_memory_mb: float | None = None
    parameters: int | None = None

    def saw(self, memory_mb: float | None) -> None:
        """Another reading of the memory."""
        if memory_mb is not None:
            self.peak_memory_mb = max(memory_mb, self.peak_memory_mb or 0.0)


class Account:
    """The bill of what runs inside its ``with`` block; made by :func:`accounted`.

    Attributes:
        parts: part → cost; parts that did not run are absent.
        inside: part → outermost module in it, by name → cost.
        total: of the whole block.
    """

    def __init__(self) -> None:
        self.parts: dict[str, Cost] = {}
        self.inside: dict[str, dict[str, Cost]] = {}
        self.total = Cost()
        self._running = REST
        self._since: float | None = None
        self._seen: dict[str, set[int]] = {}

    def __enter__(self) -> Account:
        self.total.calls += 1
        self._since = _now()
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._switch(REST)
        self._since = None
        self._stop.set()
        self._sampler.join()
        self.total.wall_s = sum(part.wall_s for part in self.parts.values())
        self.total.parameters = sum(part.parameters or 0 for part in self.parts.values())

    @contextmanager
    def charging(self, part: str, role: object = None, inside: bool = False) -> Iterator[None]:
        """Charge what the block does to ``part``.

        Args:
            part: name of the part.
            role: what plays it; the largest network that it is or holds gives the parameters.
            inside: time the outermost modules that it calls, too.

        Raises:
            ConfigError: outside the ``with`` block of the account.
        """
        self._switch(part)
        self.parts[part].calls += 1
        self._hold(part, _held_parameters(role))

        def ran(module: nn.Module, wall_s: float) -> None:
            self._ran(part, module, wall_s)

        try:
            with _outermost_modules(ran) if inside else nullcontext():
                yield
        finally:
            # Loudness follows the last pass of the separator; no role of a cast does it.
            self._switch(LOUDNESS if part == SEPARATION else REST)

    def _switch(self, part: str) -> None:
        """Charge the time since the last switch to what was running; ``part`` runs from now."""
        if self._since is None:
            raise ConfigError("an account is open inside its `with` block only")
        now, memory_mb = _now(), resident_mb()
        cost = self.parts.setdefault(self._running, Cost())
        cost.wall_s += now - self._since
        cost.saw(memory_mb)
        self.parts.setdefault(part, Cost()).saw(memory_mb)
        self.total.saw(memory_mb)
        self._running, self._since = part, now

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLED_EVERY_S):
            memory_mb = resident_mb()
            self.parts.setdefault(self._running, Cost()).saw(memory_mb)
            self.total.saw(memory_mb)

    def _ran(self, part: str, module: nn.Module, wall_s: float) -> None:
        costs = self.inside.setdefault(part, {})
        cost = costs.setdefault(type(module).__name__, Cost())
        cost.calls += 1
        cost.wall_s += wall_s
        seen = self._seen.setdefault(part, set())
        if id(module) not in seen:
            seen.add(id(module))
            cost.parameters = (cost.parameters or 0) + count_parameters(module)
        self._hold(part, sum(other.parameters or 0 for other in costs.values()))

    def _hold(self, part: str, parameters: int) -> None:
        cost = self.parts[part]
        cost.parameters = max(parameters, cost.parameters or 0) or None

    def rows(self) -> list[tuple[str, Cost]]:
        """Parts in the order of Section III-E, modules below their part, then the total."""
        rows = []
        for part in ORDER:
            if part in self.parts:
                rows.append((part, self.parts[part]))
                rows += [(f"  {name}", cost) for name, cost in self.inside.get(part, {}).items()]
        return [*rows, ("total", self.total)]

    def table(self) -> str:
        """The bill as lines of text."""
        from attm_companion.commands.generation_cli import text_table

        header = ("part", "calls", "wall s", "peak MB", "parameters")
        return text_table(header, [(name, *_cells(cost)) for name, cost in self.rows()])

    def as_dict(self) -> dict[str, Any]:
        """The bill as JSON values: each part with its modules, and the total."""
        parts = {part: asdict(cost) | {"inside": {}} for part, cost in self.parts.items()}
        for part, costs in self.inside.items():
            parts[part]["inside"] = {name: asdict(cost) for name, cost in costs.items()}
        return {"parts": parts, "total": asdict(self.total)}

    def write(self, path: Path) -> Path:
        """Write the bill as JSON."""
        return write_json(path, self.as_dict())


class _Clocked:
    """A role whose named methods are charged to a part; all else is the role's own."""

    def __init__(
        self, role: Any, account: Account, part: str, methods: tuple[str, ...], inside: bool = False
    ) -> None:
        self._role = role
        for name in methods:
            if hasattr(role, name):
                setattr(self, name, _clocked(getattr(role, name), account, part, role, inside))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._role, name)


def accounted(cast: Cast) -> tuple[Cast, Account]:
    """The same cast with a clock before every role, and the account that the clocks fill.

    The answers of the roles are not touched. ``cast`` itself is left as it is.
    """
    account = Account()
    project = ("project", "velocity", "null_conditions", "unnormalize")
    passes = ("no_vocals", "no_vocals_batch")
    listener: Any = cast.listener and _Clocked(cast.listener, account, LISTENER, ("listen",))
    timed = replace(
        cast,
        encode_text=_clocked(cast.encode_text, account, TEXT, inside=True),
        backbone=_Clocked(cast.backbone, account, BACKBONE, project),
        codec=_Clocked(cast.codec, account, CODEC, ("decode",), inside=True),
        separator=_Clocked(cast.separator, account, SEPARATION, passes),
        listener=listener,
    )
    return timed, account


def _clocked(
    method: Callable[..., Any],
    account: Account,
    part: str,
    role: object = None,
    inside: bool = False,
) -> Callable[..., Any]:
    def charged(*args: Any, **options: Any) -> Any:
        with account.charging(part, role, inside):
            return method(*args, **options)

    return charged


@contextmanager
def _outermost_modules(record: Callable[[nn.Module, float], None]) -> Iterator[None]:
    """Call ``record(module, wall_s)`` for every module that no other module has called."""
    depth, began = 0, 0.0

    def before(module: nn.Module, args: Any) -> None:
        nonlocal depth, began
        began = _now() if depth == 0 else began
        depth += 1

    def after(module: nn.Module, args: Any, output: Any) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            record(module, _now() - began)

    handles = [
        hooks.register_module_forward_pre_hook(before),
        hooks.register_module_forward_hook(after, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _now() -> float:
    """The clock, once a GPU in use has done what it was asked."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def resident_mb() -> float | None:
    """Memory that this process holds, in 10⁶ bytes, from ``/proc/self/statm``; None without it."""
    try:
        pages = int(STATM.read_text().split()[1])
    except FileNotFoundError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def count_parameters(module: nn.Module) -> int:
    """Weights of a network, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _held_parameters(role: object) -> int:
    held = [role, *getattr(role, "__dict__", {}).values()]
    networks = [value for value in held if isinstance(value, nn.Module)]
    return max(map(count_parameters, networks), default=0)


def _cells(cost: Cost) -> tuple[str, ...]:
    memory = "–" if cost.peak_memory_mb is None else f"{cost.peak_memory_mb:,.0f}"
    parameters = "–" if cost.parameters is None else f"{cost.parameters:,}"
    return str(cost.calls or "–"), f"{cost.wall_s:.3f}", memory, parameters
