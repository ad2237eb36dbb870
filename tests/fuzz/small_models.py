"""The models that the fuzzers ask: every kind of column, a value that may be missing, an entity, classes and a number."""

from treadle.spec import BooleanFeature, CategoryFeature, DateFeature, Interface, NumberFeature, Target

CHURN = Interface(
    task="binary",
    target=Target(name="left", classes=("no", "yes")),
    features=(
        NumberFeature(name="tenure", type="integer", min=0, max=100),
        NumberFeature(name="spend", type="number", min=0, max=1000),
    ),
    entity="customer",
)

PRICE = Interface(task="regression", target=Target(name="price"), features=(NumberFeature(name="rooms", type="number", min=0, max=10),))

GAPS = Interface(
    task="binary",
    target=Target(name="repaid", classes=("no", "yes")),
    features=(
        CategoryFeature(name="plan", type="category", categories=("basic", "plus", "größer")),
        CategoryFeature(name="region", type="category", categories=("north", "south"), required=False),
        BooleanFeature(name="paperless", type="boolean", required=False),
        DateFeature(name="since", type="date", required=False),
        NumberFeature(name="income", type="number", required=False),
        NumberFeature(name="copy", type="integer", min=-5, max=5, required=False),
    ),
)

MODELS = {"churn": CHURN, "price": PRICE, "gaps": GAPS}
