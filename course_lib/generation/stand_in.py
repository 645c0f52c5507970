"""What sampling asks of a model, answered by something that stands in for it."""

from collections.abc import Iterator

from torch import Tensor, nn


class StandIn:
    """Passes on to `model` what every model answers."""

    model: nn.Module

    @property
    def training(self) -> bool:
        """Whether the model is in training mode."""
        return self.model.training

    def eval(self) -> None:
        """Put the model into evaluation mode."""
        self.model.eval()

    def train(self, mode: bool = True) -> None:
        """Put the model into training mode, or out of it."""
        self.model.train(mode)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The model's."""
        return self.model.parameters()

    def buffers(self) -> Iterator[Tensor]:
        """The model's."""
        return self.model.buffers()
