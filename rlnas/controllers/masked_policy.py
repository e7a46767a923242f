"""stable-baselines3's policies with illegal choices masked inside the policy.

The environment's observation ends with the mask of legal choices (`rlnas.envs.episodes`) and algorithms store
observations, so no algorithm needs to handle masks. Without masks an agent wastes probability, entropy and gradient
on components that do not exist at a step, e.g. the skip bits of later layers. After Huang & Ontanon 2020, "A Closer
Look at Invalid Action Masking in Policy Gradient Algorithms"; sb3-contrib's MaskablePPO masks the same way, for PPO.

Axes: b rows, f features, a = width of the action (sum(nvec), or n of Discrete actions), h units.
"""

from collections.abc import Callable
from typing import Any

import gymnasium
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn

IMPOSSIBLE = -1e8  # logit of probability exactly 0; finite, so that the difference of two is not nan


def action_width(space: gymnasium.Space[Any]) -> int:
    """Return the number of values of a mask for this action space."""
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return int(space.nvec.sum())
    assert isinstance(space, gymnasium.spaces.Discrete), space
    return int(space.n)


class BesideMask(nn.Module):
    """SB3's two networks without the mask, the last `width` feature columns; it is appended to the actor's output."""

    def __init__(self, networks: MlpExtractor, width: int, inputs: int):
        super().__init__()
        self.networks = networks
        self.width = width
        self.inputs = inputs
        self.latent_dim_pi, self.latent_dim_vf = networks.latent_dim_pi, networks.latent_dim_vf

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, f + a) to (b, h + a) and (b, h)."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        """Map (b, f + a) to (b, h + a)."""
        latent = self.networks.forward_actor(features[:, : self.inputs])  # (b, h)
        return torch.cat([latent, features[:, -self.width :]], dim=1)

    def forward_critic(self, features: Tensor) -> Tensor:
        """Map (b, f) or (b, f + a) to (b, h)."""
        return self.networks.forward_critic(features[:, : self.inputs])


class MaskedLogits(nn.Module):
    """The last layer of an actor, on units and mask; illegal choices get the logit IMPOSSIBLE."""

    def __init__(self, layer: nn.Module, width: int):
        super().__init__()
        self.layer = layer
        self.width = width

    def forward(self, latent: Tensor) -> Tensor:
        """Map (b, h + a) to (b, a)."""
        logits: Tensor = self.layer(latent[:, : -self.width])
        return logits.masked_fill(latent[:, -self.width :] == 0, IMPOSSIBLE)


class MaskedPolicy(ActorCriticPolicy):
    """SB3's MlpPolicy, masked. The networks receive the observation without the mask."""

    def _build_mlp_extractor(self) -> None:
        width = action_width(self.action_space)
        networks = MlpExtractor(
            self.features_dim - width, net_arch=self.net_arch, activation_fn=self.activation_fn, device=self.device
        )
        self.mlp_extractor: Any = BesideMask(networks, width, self.features_dim - width)

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        super()._build(lr_schedule)  # its optimizer already holds the layer's parameters
        self.action_net = MaskedLogits(self.action_net, action_width(self.action_space))


class MaskedRecurrentPolicy(RecurrentActorCriticPolicy):
    """sb3-contrib's MlpLstmPolicy, masked. The LSTM receives the mask too; the actor gets it appended to the output."""

    def _build_mlp_extractor(self) -> None:
        networks = MlpExtractor(
            self.lstm_output_dim, net_arch=self.net_arch, activation_fn=self.activation_fn, device=self.device
        )
        self.mlp_extractor: Any = BesideMask(networks, action_width(self.action_space), self.lstm_output_dim)

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        super()._build(lr_schedule)
        self.action_net = MaskedLogits(self.action_net, action_width(self.action_space))

    def _process_sequence(  # type: ignore[override]
        self, features: Tensor, lstm_states: tuple[Tensor, Tensor], episode_starts: Tensor, lstm: nn.LSTM
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output (b, h + a) and the next states."""
        output, states = super()._process_sequence(features, lstm_states, episode_starts, lstm)
        return torch.cat([output, features[:, -action_width(self.action_space) :]], dim=1), states  # type: ignore[return-value]


class MaskedQNetwork(QNetwork):
    """Sets values of illegal choices to IMPOSSIBLE, so that neither the agent nor its target maximises over them."""

    def forward(self, obs: Any) -> Tensor:
        """Map (b, f + a) to (b, a)."""
        return super().forward(obs).masked_fill(obs[:, -action_width(self.action_space) :] == 0, IMPOSSIBLE)


class MaskedQuantileNetwork(QuantileNetwork):
    """MaskedQNetwork for each quantile."""

    def forward(self, obs: Any) -> Tensor:
        """Map (b, f + a) to (b, quantiles, a)."""
        mask = obs[:, None, -action_width(self.action_space) :]  # (b, 1, a)
        quantiles: Tensor = super().forward(obs)
        return quantiles.masked_fill(mask == 0, IMPOSSIBLE)


class MaskedDqnPolicy(DQNPolicy):
    """SB3's DQN policy, masked; for algorithms that explore legal choices only (rlnas.controllers.value_based)."""

    def make_q_net(self) -> QNetwork:
        """Create a masked network with its own features extractor."""
        return MaskedQNetwork(**self._update_features_extractor(self.net_args)).to(self.device)


class MaskedQrDqnPolicy(QRDQNPolicy):
    """sb3-contrib's QR-DQN policy, masked; see MaskedDqnPolicy."""

    def make_quantile_net(self) -> QuantileNetwork:
        """Create a masked network with its own features extractor."""
        return MaskedQuantileNetwork(**self._update_features_extractor(self.net_args)).to(self.device)
