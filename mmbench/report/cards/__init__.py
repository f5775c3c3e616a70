"""Cards: descriptions of data sets and trained models as a README.md in their folder, in the form of model hubs.

A data card is made from card.json alone, a model card from training.json and metrics.json, as far as they exist.
"""

from mmbench.report.cards.data import data_card
from mmbench.report.cards.model import model_card

__all__ = ["data_card", "model_card"]
