"""Models in folders: our own format, and to and from Hugging Face's."""

from course_lib.hub.bert import bert_from_huggingface
from course_lib.hub.folder import load_model, save_model
from course_lib.hub.huggingface import gpt_from_huggingface, to_huggingface
from course_lib.hub.t5 import t5_from_huggingface

__all__ = [
    "bert_from_huggingface",
    "gpt_from_huggingface",
    "load_model",
    "save_model",
    "t5_from_huggingface",
    "to_huggingface",
]
