"""The estimate step: the cost of a run, a config, a sketch or the default network, on one device or on all, training nothing.

It writes nothing to a run. A run folder's graph and plan are used where there are any for the config; else the network's
sketch stands for it, planned here as `codesign plan` would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.cost.oracle import Backend, estimate
from codesign.cost.system import Host, default_host, system
from codesign.devices import Device, devices, load_device
from codesign.errors import CodesignError, ConfigError
from codesign.flow.config_sketch import config_sketch, precision_of
from codesign.ir.graph import Graph
from codesign.passes.sketch import Sketch, parse_sketch
from codesign.passes.sketch_graph import Precision, sketch_graph
from codesign.passes.sketch_zoo import zoo_sketch
from codesign.passes.split import Split, split
from codesign.plan.balance import balance
from codesign.plan.dataflow import cycles, legal
from codesign.plan.options import op_of
from codesign.plan.plan import Plan, load_plan

if TYPE_CHECKING:
    from codesign.config import Config
    from codesign.cost.correction import Correction
    from codesign.files import RunFolder

SKETCH_SUFFIX = ".net"
ASSUMED_RATE = 0.9  # of frames that stop early, where nobody has trained the network
# The network of configs/default.toml, which a test holds it to: reading that file would take a tenth of the time there is.
DEFAULT_NAME, DEFAULT_IMAGE, DEFAULT_CLASSES = "lenet5", (28, 28, 1), 10
DEFAULT_PRECISION = Precision(scales="power-of-two")


@dataclass(frozen=True, slots=True)
class Network:
    """A network to price: its cut, where it comes from, and how to plan it for a device; the cuts of all widths where it has
    several."""

    cut: Split
    source: str
    plan: Callable[[Device], tuple[Plan, str]]
    device: str  # that the config or the plan names; "" where nothing does
    clock_mhz: float
    folder: Path | None = None  # of a run, with its metrics
    graph: Graph | None = None
    widths: Mapping[float, Split] | None = None


@dataclass(frozen=True, slots=True)
class EstimateOptions:
    """`device` "" is the config's own, and every device where there is no config. `exit_rate` None is the one that the run
    has seen, or else ASSUMED_RATE; `measure` times the tail here."""

    device: str = ""
    backend: Backend = "hls"
    clock_mhz: float | None = None
    exit_rate: float | None = None
    batch: int = 1024
    workers: int = 1
    tail_us: float | None = None
    software_us: float | None = None
    measure: bool = False
    correction: str = ""  # a file of `codesign calibrate --runs`
    width: str = ""  # of a slimmable network; the widest by default


def estimate_target(target: str | None, options: EstimateOptions, run: str | None = None) -> dict[str, Any]:
    """Prices a target on every device that is asked for; what `codesign estimate --json` prints.

    Raises ConfigError where the only device asked for cannot hold it.
    """
    network = find_network(target, run, options.width)
    wanted = options.device or network.device or "all"
    parts = list(devices()) if wanted == "all" else [load_device(wanted)]
    times = _host_times(network, options)
    correction = _correction(options)
    rows = [_priced(network, part, options, times, correction) for part in parts]
    if len(rows) == 1 and "problem" in rows[0]:
        raise ConfigError(
            rows[0]["problem"], where=parts[0].name, hint="use a larger device, or a slower goal in [plan]"
        )
    return {"network": network.cut.head.name, "source": network.source, "estimates": rows} | _widths(
        network, parts, options
    )


def find_network(target: str | None, run: str | None = None, width: str = "") -> Network:
    """The network of a run folder, a config, a shipped config's name, a `.net` file, or the default one for None; of a run of
    several widths at one of them, the widest by default."""
    if target is None:
        sketch = zoo_sketch(DEFAULT_NAME, DEFAULT_IMAGE, DEFAULT_CLASSES, {})
        graph = sketch_graph(sketch, "default", DEFAULT_PRECISION)
        return _sketched(graph, split(graph), "the default network (LeNet-5, configs/default.toml)", None)
    path = Path(target)
    if path.suffix == SKETCH_SUFFIX:
        graph = sketch_graph(_read_sketch(path), path.stem)
        return _sketched(graph, split(graph), f"the sketch {path}", None)
    return _of_config(path, run, width)


def _read_sketch(path: Path) -> Sketch:
    try:
        return parse_sketch(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read this sketch: {error}", where=str(path), hint="name a text file") from error


def _of_config(path: Path, run: str | None, width: str = "") -> Network:
    from codesign.config import config_from, config_to_dict
    from codesign.files import RunFolder, read_json
    from codesign.flow.experiment import find_config
    from codesign.ir.store import load_graph
    from codesign.ops import OPS

    config = find_config(path)
    folder = RunFolder(path if path.is_dir() else Path(run) if run else Path("runs") / config.name)
    stored = config_from(read_json(folder.config)) if folder.config.exists() else None
    same = stored is not None and _decides_graph(stored) == _decides_graph(config)
    if folder.graph.exists() and same:
        graph = load_graph(folder.graph, OPS)
        network = _sketched(graph, _cut(graph, config), f"the graph in {folder.graph}", config)
        if config.slim.widths:
            network = _at_width(network, folder, config, width)
        fits = stored is not None and config_to_dict(stored)["plan"] == config_to_dict(config)["plan"]
        if folder.plan.exists() and fits:
            network = replace(network, plan=_stored_plan(folder.plan, network.plan))
        return replace(network, folder=folder.path)
    graph = sketch_graph(config_sketch(config), config.name, precision_of(config), seed=config.seed)
    return _sketched(graph, _cut(graph, config), f"a sketch of {config.model.name}, weights drawn", config)


def _at_width(network: Network, folder: RunFolder, config: Config, width: str) -> Network:
    """The hardware of all widths at one of them, planned for the widest."""
    from codesign.flow.slim_estimate import slim_cuts
    from codesign.flow.widths import index_of

    cuts = slim_cuts(folder, config)
    widths = tuple(cuts)
    cut = cuts[widths[index_of(widths, width)] if width else widths[-1]]

    def plan(device: Device) -> tuple[Plan, str]:
        return _balanced(cuts[max(cuts)].head, device, config), "planned for this estimate"

    return replace(network, cut=cut, plan=plan, widths=cuts)


def _widths(network: Network, parts: list[Device], options: EstimateOptions) -> dict[str, Any]:
    if options.width and not network.widths:
        raise ConfigError(
            "this network has one width", where="--width", hint="name a run of a network with [slim] widths"
        )
    if not network.widths or options.width:
        return {}
    from codesign.flow.slim_estimate import width_rows

    plan, _ = network.plan(parts[0])
    return {"widths": width_rows(network.widths, plan, parts[0], options.backend, options.clock_mhz)}


@lru_cache(maxsize=16)
def products_of(graph: Graph) -> int:
    """Multiplications of a frame, of weights and of requantizers."""
    total = 0
    for node in graph.nodes:
        op = op_of(node)
        types = tuple(graph.types[source] for source in node.inputs)
        if not op.view and not op.port and not op.registers:
            folding = legal(op, types)[0]
            work = op.work(folding, *types)
            total += sum(count for count, *_ in work.multiplies) * cycles(op, folding, types)
    return total


def _sketched(graph: Graph, cut: Split, source: str, config: Config | None) -> Network:
    def plan(device: Device) -> tuple[Plan, str]:
        return _balanced(cut.head, device, config), "planned for this estimate"

    device = "" if config is None else config.plan.device
    return Network(cut, source, plan, device, 100.0 if config is None else config.plan.clock_mhz, None, graph)


def _balanced(head: Graph, device: Device, config: Config | None) -> Plan:
    if config is None:
        return balance(head, device, drains=True)
    from codesign.flow.plan import planned

    return planned(head, device, config.plan)


def _stored_plan(path: Path, otherwise: Callable[[Device], tuple[Plan, str]]) -> Callable[[Device], tuple[Plan, str]]:
    def plan(device: Device) -> tuple[Plan, str]:
        stored = load_plan(path)
        return (stored, f"the plan in {path}") if load_device(stored.device) == device else otherwise(device)

    return plan


def _cut(graph: Graph, config: Config) -> Split:
    """As `flow.cascade.split_for`, which takes long to import, where the config asks for no threshold of its own."""
    if config.exit.threshold < 0 or config.exit.criterion == "margin":
        return split(graph, config.exit.split, criterion=config.exit.criterion)
    from codesign.flow.cascade import split_for

    return split_for(graph, config.exit)


def _decides_graph(config: Config) -> tuple[object, ...]:
    return config.model, config.quantize, config.data, config.train, config.seed


def _correction(options: EstimateOptions) -> Correction | None:
    if not options.correction:
        return None
    from codesign.cost.correction import load_correction

    return load_correction(Path(options.correction), options.backend)


def _priced(
    network: Network,
    device: Device,
    options: EstimateOptions,
    times: dict[str, Any],
    correction: Correction | None,
) -> dict[str, Any]:
    """One device's estimate and system, or why there is none."""
    try:
        plan, source = network.plan(device)
        clock = options.clock_mhz
        found = estimate(network.cut.head, plan, device, options.backend, clock_mhz=clock, correction=correction)
    except CodesignError as error:
        return {"device": device.name, "problem": str(error).replace("\n", ";")}
    host = _host(network, device, options, times)
    rate, rate_source = _exit_rate(network.folder, options.exit_rate)
    whole = {**system(found, host, rate, options.batch).to_json(), "exit_rate_source": rate_source}
    return {"plan": source, **found.to_json(), "system": whole}


def _host(network: Network, device: Device, options: EstimateOptions, times: dict[str, Any]) -> Host:
    tail = products_of(network.cut.tail)
    return default_host(device, tail, tail + products_of(network.cut.head), workers=options.workers, **times)


def _host_times(network: Network, options: EstimateOptions) -> dict[str, Any]:
    """A worker's times where they are given, measured here, or recorded by `codesign bench`."""
    if options.tail_us is not None or options.software_us is not None:
        for name, value in (("--tail-us", options.tail_us), ("--software-us", options.software_us)):
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise ConfigError(f"{value!r} is no time", where=name, hint="give microseconds")
        return {"tail_us": options.tail_us, "software_us": options.software_us}
    if options.measure and network.graph is not None:
        from codesign.flow.host_times import measured_times

        return measured_times(network.cut, network.graph)
    return dict(_recorded(network.folder)) if network.folder is not None else {}


def _exit_rate(folder: Path | None, given: float | None) -> tuple[float, str]:
    """The share of frames that stop early, and where it is from: given, the run's own thresholds, or assumed."""
    if given is not None:
        return given, "given"
    if folder is not None:
        from codesign.files import RunFolder, read_json

        metrics = RunFolder(folder).read_metrics()
        if "exit_rate" in metrics.get("bench", {}):
            return metrics["bench"]["exit_rate"], "test frames of `codesign bench`"
        if (folder / "tune" / "tune.json").exists():
            return read_json(folder / "tune" / "tune.json")["exit_rate"], "calibration frames of `codesign tune`"
        if "cascade" in metrics.get("evaluate", {}):
            return metrics["evaluate"]["cascade"]["exit_rate"], "test frames of `codesign evaluate`"
    return ASSUMED_RATE, "assumed"


def _recorded(folder: Path) -> Iterator[tuple[str, Any]]:
    """What the last bench of a run measured, of the fastest software without early exits."""
    from codesign.files import RunFolder

    bench = RunFolder(folder).read_metrics().get("bench", {})
    if bench.get("model"):
        yield "tail_us", bench["model"]["tail_us"]
        yield "source", f"measured by `codesign bench` ({folder}/metrics.json)"
        yield "name", "the machine of the bench"
        if bench.get("cpp_images_per_s"):
            yield "software_us", 1e6 / bench["cpp_images_per_s"]
