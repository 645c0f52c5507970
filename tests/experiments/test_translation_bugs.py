"""Each suspect breaks the invariant that the lesson catches it with, and no other; the library's model breaks none."""

import pytest
import torch

from course_lib.experiments.translation_bugs import SUSPECTS
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.models.gpt import IGNORED

SOURCE = torch.tensor([[5, 6, 7, 2], [8, 2, 0, 0]])
TARGETS = torch.tensor([[9, 10, 11, 12, 2], [7, 9, 10, 2, IGNORED]])


def make(kind):
    torch.manual_seed(0)
    model = kind(EncoderDecoderConfig(14, 10, 16, 2, 2, start_id=1)).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def holds(kind):
    """Which of the four invariants hold."""
    model = make(kind)
    with torch.no_grad():
        logits = model(SOURCE, TARGETS).logits
        later = TARGETS.clone()
        later[0, 3] = 13
        answer = torch.allclose(model(SOURCE, later).logits[0, :4], logits[0, :4], atol=1e-5)
        length = torch.allclose(model(SOURCE, TARGETS[:, :3]).logits[0], logits[0, :3], atol=1e-5)
        alone = model(SOURCE[1:, :2], TARGETS[1:, :4]).logits
        company = torch.allclose(logits[1, :4], alone[0], atol=1e-4)
        other = SOURCE.clone()
        other[0, 0] = 13
        source = not torch.allclose(model(other, TARGETS).logits[0], logits[0], atol=1e-4)
    return {"answer": answer, "length": length, "company": company, "source": source}


@pytest.mark.parametrize(
    ("kind", "broken"),
    [(EncoderDecoder, None), (SUSPECTS["Ada"], "answer"), (SUSPECTS["Bo"], "length"), (SUSPECTS["Cy"], "source")],
)
def test_one_invariant_catches_each(kind, broken):
    assert [name for name, held in holds(kind).items() if not held] == ([broken] if broken else [])


@pytest.mark.parametrize("name", SUSPECTS)
def test_each_can_be_trained(name):
    model = make(SUSPECTS[name]).train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(15):
        loss = model(SOURCE, TARGETS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5
