"""What Prometheus reads from the controller: drift, quality, and where the loop stands."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from treadle.monitoring.observe import Observation
from treadle.state.turns import Turn

_MODEL = ("model_name",)
_VERSION = ("model_name", "model_version")

_Values = dict[Gauge, dict[tuple[str, ...], float]]
"""Values by gauge and labels."""


class ControllerMetrics:
    """The metrics of one controller, in the registry that it is given.

    Of each model only the present champion's version is exported; a value that cannot be judged now is left out, so that an
    alert on an old one does not ring for ever.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, told: str, labels: tuple[str, ...]) -> Gauge:
            return Gauge(name, told, labels, registry=registry)

        self._score = gauge("ml_data_drift_score", "Importance-weighted share of drifted features, 0 to 1.", _VERSION)
        self._feature = gauge("ml_feature_drift", "Population stability index of one feature or output.", (*_VERSION, "feature"))
        self._prediction = gauge("ml_prediction_drift", "1 while the model's own answers have drifted.", _VERSION)
        self._accuracy = gauge("ml_model_accuracy", "Accuracy on matured, labelled rows; classifiers only.", _VERSION)
        self._quality = gauge("ml_model_quality", "The policy's quality metric on matured, labelled rows.", (*_VERSION, "metric"))
        self._limit = gauge(
            "ml_model_quality_limit", "The value that the interval of the metric may not lie beyond.", (*_VERSION, "metric")
        )
        self._bad = gauge("ml_model_quality_bad", "1 while the whole interval lies beyond the limit.", (*_VERSION, "metric"))
        self._open = gauge("ml_loop_open_turn", "1 while a turn of the loop is open.", _MODEL)
        self.turns = Counter("ml_loop_turns", "Turns of the loop that have ended.", (*_MODEL, "outcome"), registry=registry)
        self.stumbles = Counter("ml_loop_stumbles", "Rounds in which the controller failed on a model.", _MODEL, registry=registry)
        self._shown: dict[str, _Values] = {}

    def observed(self, model: str, observation: Observation) -> None:
        """Set the gauges of a model from what was just observed."""
        drift, quality = observation.drift, observation.quality
        version = (model, str(observation.version))
        values: _Values = {}
        if drift.assessed:
            values[self._score] = {version: drift.score}
            values[self._prediction] = {version: float(drift.prediction_drifted)}
            values[self._feature] = {(*version, one.name): one.psi for one in (*drift.features, *drift.prediction)}
        if quality.assessed:
            named = (*version, quality.metric)
            measured = {self._quality: quality.value, self._limit: quality.limit, self._bad: float(quality.bad)}
            values |= {gauge: {named: value} for gauge, value in measured.items() if value is not None}
        if quality.accuracy is not None:
            values[self._accuracy] = {version: quality.accuracy}
        self._show(model, values)

    def turn(self, model: str, turn: Turn | None) -> None:
        """Show whether a turn of the loop is open."""
        self._open.labels(model).set(turn is not None)

    def _show(self, model: str, values: _Values) -> None:
        for gauge, before in self._shown.get(model, {}).items():
            for labels in before.keys() - values.get(gauge, {}).keys():
                gauge.remove(*labels)
        for gauge, now in values.items():
            for labels, value in now.items():
                gauge.labels(*labels).set(value)
        self._shown[model] = values
