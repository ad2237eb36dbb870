"""Small models for the benchmarks: a linear one with as many features as one likes, and one model under many names."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.serving.service import Question
from treadle.bundle import profile
from treadle.bundle.manifest import Lineage
from treadle.bundle.place import CARD_FILE, INTERFACE_FILE, MODEL_FILE, Bundle, BundlePlace
from treadle.bundle.profile import PROFILE_FILE
from treadle.settings import Workspace
from treadle.spec import Interface, NumberFeature, Target, canonical_json
from treadle.training.export import to_onnx
from treadle.training.pipeline import build_pipeline, scores_of

ROWS = 200
LINEAR = "linear"


def linear(workspace: Workspace, features: int, *, seed: int = 1, asked: int = 20) -> tuple[Bundle, list[Question]]:
    """Fit a logistic regression on made-up rows with so many features, seal it, and return it with questions that scikit-learn answers."""
    interface = Interface(
        task="binary",
        target=Target(name="answer", classes=("no", "yes")),
        features=tuple(NumberFeature(name=f"x{number:04}", type="number", min=-100, max=100) for number in range(features)),
    )
    generator = np.random.default_rng(seed)
    matrix = generator.normal(0, 1, (ROWS, features)).round(3).astype(np.float32)
    # The sum of some of the columns decides, so that there is something to learn at any width.
    target = (matrix[:, ::2].sum(axis=1) > 0).astype(np.int64)
    pipeline = build_pipeline(interface, LogisticRegression()).fit(matrix, target)
    scores = scores_of(pipeline, interface, matrix)
    files = {
        MODEL_FILE: to_onnx(pipeline, interface),
        INTERFACE_FILE: canonical_json(interface.model_dump(mode="json")),
        PROFILE_FILE: profile.build(interface, matrix, scores.astype(np.float32)).to_bytes(),
        CARD_FILE: canonical_json({"metrics": {}}),
    }
    made_of = Lineage(
        data_digest="0" * 64,
        data_source="simulated",
        simulated=True,
        rows=ROWS,
        seed=seed,
        interface_digest=interface.digest,
        code_digest="0" * 64,
        python="",
        packages={},
    )
    bundle = BundlePlace.of(workspace).put(files, LINEAR, made_of)
    names = interface.feature_names
    questions = [
        Question(LINEAR, interface, dict(zip(names, map(float, row.astype(np.float64).round(3)), strict=True)), scores[number])
        for number, row in enumerate(matrix[:asked])
    ]
    return bundle, questions


def copies(workspace: Workspace, bundle: Bundle, count: int) -> dict[str, str]:
    """Seal a bundle anew under so many names, and return digest by name: each of them is loaded as a model of its own."""
    place = BundlePlace.of(workspace)
    names = [f"{bundle.manifest.model}_{number:02}" for number in range(1, count + 1)]
    return {name: place.put(bundle.files, name, bundle.manifest.lineage).digest for name in names}


def store(bundle: Bundle, workspace: Workspace) -> str:
    """Put a bundle into another workspace, and return its digest."""
    return BundlePlace.of(workspace).put(bundle.files, bundle.manifest.model, bundle.manifest.lineage).digest
