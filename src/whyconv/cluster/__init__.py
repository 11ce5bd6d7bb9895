"""Prediction over many processes and machines: Ray Data carries out, pieces of Parquet are what is left."""

from whyconv.cluster.predicting import Answered, predict_on_cluster

__all__ = ["Answered", "predict_on_cluster"]
