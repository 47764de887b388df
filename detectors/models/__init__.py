"""What turns features into a score. A *model* is an ensemble of trees with a calibration; its *card* says what it
reads, what it was made from, how well it did on traffic it never saw, and what it does not see. A *task* is what a
model is trained for, a *stretch* labelled traffic, simulated or *recorded*. Models lie on a *shelf* as *revisions*,
each signed; one of each schema is *in force*, and a *history* says who put which there, when and why. A *comparison* is
a revision beside the one in force. A *table* is rows of named columns, of whatever source, to learn attacks and novelty
from.
"""

from detectors.models.card import Card, Evaluation, Schema, wilson
from detectors.models.columns import Columns, Encoder
from detectors.models.comparison import Comparison, compare
from detectors.models.defaults import default, put_defaults
from detectors.models.following import Following
from detectors.models.history import History, Promotion
from detectors.models.joining import NORMAL
from detectors.models.keeping import add, found, promote, record, roll_back, unproven
from detectors.models.model import Model, margins
from detectors.models.naming import NAME, NameModel, learn_names
from detectors.models.own_data import OwnData, read
from detectors.models.places import schema_of
from detectors.models.refused import DataRefused, ModelRefused
from detectors.models.shelf import Entry, Shelf
from detectors.models.signing import read_public
from detectors.models.tabular import learn_table
from detectors.models.tasks import ACCESS, FLOW, PAIR, TASKS, Task
from detectors.models.traffic import HELD_OUT, Parts, Stretch, simulated, simulated_part
from detectors.models.training import held_out, train

__all__ = [
    "ACCESS",
    "FLOW",
    "HELD_OUT",
    "NAME",
    "NORMAL",
    "PAIR",
    "TASKS",
    "Card",
    "Columns",
    "Comparison",
    "DataRefused",
    "Encoder",
    "Entry",
    "Evaluation",
    "Following",
    "History",
    "Model",
    "ModelRefused",
    "NameModel",
    "OwnData",
    "Parts",
    "Promotion",
    "Schema",
    "Shelf",
    "Stretch",
    "Task",
    "add",
    "compare",
    "default",
    "found",
    "held_out",
    "learn_names",
    "learn_table",
    "margins",
    "promote",
    "put_defaults",
    "read",
    "read_public",
    "record",
    "roll_back",
    "schema_of",
    "simulated",
    "simulated_part",
    "train",
    "unproven",
    "wilson",
]
