"""Churn: the Telco customers of IBM's public sample, small boosted trees, and a simulated market."""

from pathlib import Path

import pandas as pd
from lightgbm import LGBMClassifier
from pandas import DataFrame

COLUMNS = {
    "customerID": "customer_id",
    "gender": "gender",
    "SeniorCitizen": "senior_citizen",
    "Partner": "partner",
    "Dependents": "dependents",
    "tenure": "tenure_months",
    "PhoneService": "phone_service",
    "MultipleLines": "multiple_lines",
    "InternetService": "internet_service",
    "OnlineSecurity": "online_security",
    "OnlineBackup": "online_backup",
    "DeviceProtection": "device_protection",
    "TechSupport": "tech_support",
    "StreamingTV": "streaming_tv",
    "StreamingMovies": "streaming_movies",
    "Contract": "contract",
    "PaperlessBilling": "paperless_billing",
    "PaymentMethod": "payment_method",
    "MonthlyCharges": "monthly_charges",
    "TotalCharges": "total_charges",
    "Churn": "churn",
}
YES_NO = ["partner", "dependents", "phone_service", "paperless_billing"]
FLAGS = ["senior_citizen", *YES_NO]


def load(path: Path) -> DataFrame:
    """Read the Telco file, one customer a row, with clean names and types."""
    frame = pd.read_csv(path, na_values={"TotalCharges": [" "]}).rename(columns=COLUMNS)[list(COLUMNS.values())]
    frame[YES_NO] = frame[YES_NO] == "Yes"
    frame["senior_citizen"] = frame["senior_citizen"] == 1
    frame["churn"] = frame["churn"].map({"No": "stayed", "Yes": "churned"})
    return frame


def build(seed: int) -> LGBMClassifier:
    """Return the unfitted estimator: small trees that learn slowly, the same on every machine."""
    return LGBMClassifier(
        n_estimators=250,
        learning_rate=0.04,
        num_leaves=7,
        min_child_samples=25,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.5,
        reg_lambda=2.0,
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
