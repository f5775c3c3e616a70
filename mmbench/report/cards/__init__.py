"""Cards: what a data set and a trained model are, as a README.md beside them, in the form that model hubs show.

The data's is made of its card.json alone, a model's of its training.json and metrics.json, as far as they are there.
"""

from mmbench.report.cards.data import data_card
from mmbench.report.cards.model import model_card

__all__ = ["data_card", "model_card"]
