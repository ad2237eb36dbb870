"""The contract: what ``projects/<name>/model.yaml`` may say, and what it means.

It has two halves. The *interface* is sealed into each version. The *policy* is read from the workspace each time it is
needed, so that it can change without a new model; its digest stands in every verdict.
"""

from treadle.spec.contract import (
    DEFAULT_METRIC,
    METRICS,
    BundledSource,
    Contract,
    DownloadSource,
    MirrorSource,
    SimulatedSource,
    Source,
    contract_schema,
)
from treadle.spec.interface import (
    EPOCH,
    FLOAT32_WHOLE,
    OUTPUT_COLUMNS,
    BooleanFeature,
    CategoryFeature,
    DateFeature,
    Feature,
    Interface,
    NumberFeature,
    Preprocessing,
    Split,
    Target,
    Task,
)
from treadle.spec.part import Duration, canonical_json
from treadle.spec.policy import (
    CardPolicy,
    DriftPolicy,
    GatePolicy,
    LabelPolicy,
    Policy,
    QualityPolicy,
    RetrainPolicy,
    RolloutPolicy,
    SloPolicy,
)
from treadle.spec.reading import load_contract

__all__ = [
    "DEFAULT_METRIC",
    "EPOCH",
    "FLOAT32_WHOLE",
    "METRICS",
    "OUTPUT_COLUMNS",
    "BooleanFeature",
    "BundledSource",
    "CardPolicy",
    "CategoryFeature",
    "Contract",
    "DateFeature",
    "DownloadSource",
    "DriftPolicy",
    "Duration",
    "Feature",
    "GatePolicy",
    "Interface",
    "LabelPolicy",
    "MirrorSource",
    "NumberFeature",
    "Policy",
    "Preprocessing",
    "QualityPolicy",
    "RetrainPolicy",
    "RolloutPolicy",
    "SimulatedSource",
    "SloPolicy",
    "Source",
    "Split",
    "Target",
    "Task",
    "canonical_json",
    "contract_schema",
    "load_contract",
]
