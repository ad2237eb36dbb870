"""What to use instead of a step that has no exact graph: the nearest kind that has one. A test exports each of them."""

from typing import Any

from treadle.spec import Task

_BY_LINES = ("LogisticRegression",)
_BY_TREES = ("RandomForestClassifier", "ExtraTreesClassifier")
_COMPONENTS = ("PCA", "TruncatedSVD")
_KERNELS = ("KernelPCA", "PolynomialFeatures")

NEAREST: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("LinearSVC", "RidgeClassifier", "RidgeClassifierCV", "Perceptron", "PassiveAggressiveClassifier", "SGDClassifier"), _BY_LINES
    ),
    **dict.fromkeys(("SVC", "NuSVC", "GaussianProcessClassifier"), ("MLPClassifier", "RandomForestClassifier")),
    **dict.fromkeys(("KNeighborsClassifier", "RadiusNeighborsClassifier", "LabelPropagation", "LabelSpreading"), _BY_TREES),
    **dict.fromkeys(("LinearDiscriminantAnalysis", "NearestCentroid", "DummyClassifier"), ("GaussianNB", "LogisticRegression")),
    **dict.fromkeys(("KNeighborsRegressor", "RadiusNeighborsRegressor"), ("RandomForestRegressor", "ExtraTreesRegressor")),
    **dict.fromkeys(("GaussianProcessRegressor", "KernelRidge"), ("SVR", "MLPRegressor")),
    **dict.fromkeys(("TransformedTargetRegressor",), ("TweedieRegressor", "GradientBoostingRegressor")),
    **dict.fromkeys(("DummyRegressor",), ("LinearRegression",)),
    **dict.fromkeys(("KNNImputer", "IterativeImputer"), ("SimpleImputer",)),
    **dict.fromkeys(("KBinsDiscretizer", "SplineTransformer"), ("QuantileTransformer", "PolynomialFeatures")),
    **dict.fromkeys(("FastICA", "FactorAnalysis", "NMF", "MiniBatchNMF", "SparsePCA", "MiniBatchSparsePCA"), _COMPONENTS),
    **dict.fromkeys(
        ("DictionaryLearning", "MiniBatchDictionaryLearning", "LatentDirichletAllocation", "FeatureAgglomeration"), _COMPONENTS
    ),
    **dict.fromkeys(("BernoulliRBM", "KMeans", "MiniBatchKMeans", "BisectingKMeans", "Birch"), _COMPONENTS),
    **dict.fromkeys(("Isomap", "LocallyLinearEmbedding", "Nystroem", "RBFSampler", "PolynomialCountSketch"), _KERNELS),
    **dict.fromkeys(("AdditiveChi2Sampler", "SkewedChi2Sampler", "RandomTreesEmbedding"), _KERNELS),
    **dict.fromkeys(("FunctionTransformer",), ("PowerTransformer", "QuantileTransformer")),
}
"""By the name of the class that is refused; the first is the nearest."""

WRONG = {
    "LinearDiscriminantAnalysis": "its graph would answer other probabilities",
    **dict.fromkeys(("KMeans", "MiniBatchKMeans"), "its graph gives a cluster where the next step wants distances"),
    "GaussianProcessClassifier": "its graph cannot be run",
    "GaussianProcessRegressor": "its graph would answer other values",
}
"""What the exporter converts, but not truly."""

_LEARNERS: dict[bool, str] = {
    True: "RandomForestRegressor, GradientBoostingRegressor, LGBMRegressor, XGBRegressor, LinearRegression or Ridge",
    False: "RandomForestClassifier, GradientBoostingClassifier, LGBMClassifier, XGBClassifier or LogisticRegression",
}


def instead(task: Task, step: Any = None) -> str:
    """Return what to use instead of ``step``; of one that nothing is known of, which learners are known to convert exactly."""
    known = NEAREST.get(type(step).__name__)
    if known is None:
        return f"Use a {_LEARNERS[task == 'regression']}."
    return f"Use {' or '.join(known)}: the nearest that can be exported."
