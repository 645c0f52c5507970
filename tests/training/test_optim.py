"""Muon is torch's, only faster; and what it does to a matrix is what it says."""

import pytest
import torch
from torch import nn

from course_lib.training.optim import Muon, orthogonalised

SHAPES = [(16, 16), (48, 16), (16, 48), (48, 16), (16, 16)]


def drawn() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(0.1 * torch.randn(shape)) for shape in SHAPES]


def test_muon_moves_as_torchs_own_does():
    ours, theirs = drawn(), drawn()
    muon = Muon(ours, lr=0.03, weight_decay=0.2)
    reference = torch.optim.Muon(theirs, lr=0.03, weight_decay=0.2, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for mine, its in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            its.grad = mine.grad.clone()
        muon.step()
        reference.step()
    for mine, its in zip(ours, theirs, strict=True):
        # Both round to bfloat16 between products; a stacked product may add up in another order.
        torch.testing.assert_close(mine, its, rtol=0.02, atol=2e-3)
        assert (mine - its).norm() < 0.01 * its.norm()


def test_a_matrix_without_a_gradient_stays():
    first, second = drawn()[:2]
    before = second.detach().clone()
    first.grad = torch.randn_like(first)
    Muon([first, second], lr=0.1).step()
    assert torch.equal(second, before)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 48, 16), (2, 16, 48)])
def test_singular_values_become_about_one(shape):
    matrices = torch.randn(shape) * torch.tensor([1e-3, 1.0, 1e3])[: shape[0], None, None]
    singular = torch.linalg.svdvals(orthogonalised(matrices).float())
    assert singular.max() < 1.3
    assert singular.median() > 0.6


def test_the_singular_vectors_stay():
    matrix = torch.randn(1, 12, 12)
    u, _, v = torch.linalg.svd(matrix)
    turned = u.mT @ orthogonalised(matrix).float() @ v.mT  # diagonal, where the vectors are the same
    off = turned - torch.diag_embed(turned.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 0.1


def test_muon_refuses_a_vector():
    with pytest.raises(ValueError, match=r"matrices.*\(7,\)"):
        Muon([nn.Parameter(torch.zeros(7))])
