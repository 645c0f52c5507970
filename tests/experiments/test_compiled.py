import torch
import torch.nn.functional as F

from course_lib.experiments.compiled import gelu_in_steps, stored_times


def test_the_chain_is_gelu():
    x = torch.randn(1000)
    torch.testing.assert_close(gelu_in_steps(x), F.gelu(x, approximate="tanh"), atol=1e-6, rtol=1e-5)


def test_the_stored_times_are_times():
    stored = stored_times()
    for name in ("gelu", "step"):
        assert 0 < stored[name]["compiled"] < stored[name]["first"], name
        assert 0 < stored[name]["eager"] < 10
    assert stored["cores"] >= 1 and stored["torch"].count(".") == 2
