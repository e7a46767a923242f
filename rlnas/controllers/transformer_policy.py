"""A small transformer over the layers built so far, as a stable-baselines3 policy for any on-policy algorithm.

A policy on the flat one-hot observation has one weight for each choice of each layer, so what it learns of a layer says
nothing of another, and its size grows with the square of the depth. Here each layer is a token: the sum of its choices'
embeddings, the same for all layers, and of the layer's own embedding. Skip connections are edges, not columns: they
raise or lower the attention between their two layers, and the skips of a new layer are chosen by matching it with each
earlier layer (as the anchor points of Zoph & Le 2017, section 3.2). Layers are told apart by their embedding only:
permuting layers together with their embeddings permutes the outputs.

Blocks are those of Vaswani et al. 2017 with normalisation first; edges as a bias of the attention follow Graphormer
(Ying et al. 2021, section 3.1.2).

Axes: b rows, t steps of the space (layers), w = sum(nvec), a width of the action, u units, h heads, k skip bits.
"""

from collections.abc import Callable
from typing import Any

import gymnasium
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn
from torch.nn import functional as F

from rlnas.controllers.masked_policy import IMPOSSIBLE, action_width
from rlnas.errors import RlnasError
from rlnas.spaces import Space


class TransformerPolicy(ActorCriticPolicy):
    """Policy over the steps of a space that masks illegal choices.

    space: the search space. places: the (step, component) of each choice for `step_unit=decision`, None for
    `step_unit=layer`, where the choices of a step are independent of each other given the earlier steps.
    units: u, a multiple of `heads`. heads: of the attention. blocks: number of transformer blocks. Actor and critic
    share the blocks.
    """

    def __init__(
        self,
        observation_space: gymnasium.spaces.Space[Any],
        action_space: gymnasium.spaces.Space[Any],
        lr_schedule: Callable[[float], float],
        *,
        space: Space,
        places: tuple[tuple[int, int], ...] | None = None,
        units: int = 32,
        heads: int = 2,
        blocks: int = 1,
        **kwargs: Any,
    ):
        for name, value in {"units": units, "heads": heads, "blocks": blocks}.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RlnasError(f"controller.policy_params.{name} is {value}, expected a whole number at least 1")
        if units % heads:
            raise RlnasError(
                f"controller.policy_params.units is {units}, expected a multiple of heads={heads}: each head has an "
                "equal share of the units"
            )
        self.nas_space = space
        self.places = places
        self.units, self.heads, self.blocks = units, heads, blocks
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        """Create this policy's modules instead of SB3's, then the optimizer as SB3 does."""
        width = action_width(self.action_space)
        network = LayerTransformer(self.nas_space, self.places, width, self.units, self.heads, self.blocks)
        self.mlp_extractor: Any = network  # the name under which SB3 calls it
        self.action_net = nn.Identity()  # the network returns logits
        self.value_net = nn.Linear(self.units, 1)
        nn.init.orthogonal_(self.value_net.weight)
        nn.init.zeros_(self.value_net.bias)
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )


class LayerTransformer(nn.Module):
    """Maps observations (b, f) of rlnas.envs.episodes to masked logits (b, a) and the critic's features (b, u)."""

    def __init__(
        self,
        space: Space,
        places: tuple[tuple[int, int], ...] | None,
        width: int,
        units: int,
        heads: int,
        blocks: int,
    ):
        super().__init__()
        self.steps, self.choices, self.bits = space.steps, sum(space.nvec), space.skip_bits
        self.factors = self.choices - 2 * self.bits  # columns of all components but the skip bits
        self.width, self.heads = width, heads
        positions = places or tuple((step, 0) for step in range(space.steps))
        self.positions = len(positions)
        starts = [sum(space.nvec[:component]) for component in range(len(space.nvec))]
        self.register_buffer("step_of", torch.tensor([step for step, _ in positions]), persistent=False)
        first = torch.tensor([starts[component] for _, component in positions])  # (positions,)
        columns = first[:, None] + torch.arange(width) if places else None  # (positions, a)
        self.register_buffer("columns", None if columns is None else columns.clamp(max=self.choices - 1), False)
        self.embed = nn.Linear(self.factors, units, bias=False)
        self.layer = nn.Parameter(torch.randn(self.steps, units))
        self.here = nn.Parameter(torch.randn(units))
        self.edges = nn.Parameter(torch.zeros(2, heads))  # of an edge to a layer, and from it
        self.blocks = nn.ModuleList(Block(units, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(units)
        self.choose = nn.Linear(units, self.factors)
        self.query = nn.Linear(units, units)
        self.key = nn.Linear(units, units, bias=False)
        self.skip = nn.Linear(units, 1)  # how willing the layer is to take any skip
        for layer in (self.choose, self.query, self.skip):  # as SB3: nearly uniform at the start
            nn.init.orthogonal_(layer.weight, gain=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, f) to (b, a) and (b, u)."""
        tokens, at, hidden = self._encode(features)
        return self._logits(features, tokens, at, hidden), hidden

    def forward_actor(self, features: Tensor) -> Tensor:
        """Map (b, f) to (b, a)."""
        return self.forward(features)[0]

    def forward_critic(self, features: Tensor) -> Tensor:
        """Map (b, f) to (b, u)."""
        return self._encode(features)[2]

    def _encode(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the tokens (b, t, u), the position of the choice (b,) and the current layer's token (b, u)."""
        rows = torch.arange(len(features), device=features.device)
        chosen = features[:, : self.steps * self.choices].view(-1, self.steps, self.choices)  # (b, t, w)
        at = features[:, self.steps * self.choices :][:, : self.positions].argmax(1)  # (b,); 0 when complete
        step = self.step_of[at]  # type: ignore[index]  # (b,)
        tokens = self.embed(chosen[:, :, : self.factors]) + self.layer  # (b, t, u)
        current = F.one_hot(step, self.steps).to(tokens.dtype)  # (b, t)
        tokens = tokens + current[:, :, None] * self.here
        bias = self._bias(chosen[:, :, self.factors + 1 :: 2], step)  # (b, h, t, t)
        for block in self.blocks:
            tokens = block(tokens, bias)
        tokens = self.norm(tokens)
        return tokens, at, tokens[rows, step]

    def _bias(self, used: Tensor, step: Tensor) -> Tensor:
        """Return the bias (b, h, t, t) of the attention; -inf towards layers after the current one.

        used: (b, t, k), 1 where a layer takes the skip from the layer k.
        """
        later = torch.arange(self.steps, device=used.device) > step[:, None]  # (b, t)
        edges = F.pad(used, (0, self.steps - self.bits))[:, None]  # (b, 1, t, t)
        weights = self.edges[:, None, :, None, None]  # (2, 1, h, 1, 1)
        bias = weights[0] * edges + weights[1] * edges.transpose(2, 3)  # (b, h, t, t)
        return bias.masked_fill(later[:, None, None], float("-inf"))

    def _logits(self, features: Tensor, tokens: Tensor, at: Tensor, hidden: Tensor) -> Tensor:
        """Return the masked logits (b, a) of the current choice or choices."""
        logits = self.choose(hidden)  # (b, w - 2k)
        if self.bits:
            match = self.key(tokens[:, : self.bits]) @ self.query(hidden)[:, :, None]  # (b, k, 1)
            score = match.squeeze(2) / hidden.shape[1] ** 0.5 + self.skip(hidden)  # (b, k)
            logits = torch.cat([logits, torch.stack([-score, score], dim=2).flatten(1)], dim=1)  # (b, w)
        if self.columns is not None:
            logits = logits.gather(1, self.columns[at])  # type: ignore[index]  # (b, a)
        masked: Tensor = logits.masked_fill(features[:, -self.width :] == 0, IMPOSSIBLE)
        return masked


class Block(nn.Module):
    """Attention, then two linear layers, each on normalised tokens and added to them."""

    def __init__(self, units: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(units)
        self.attend = nn.Linear(units, 3 * units, bias=False)
        self.join = nn.Linear(units, units)
        self.after = nn.LayerNorm(units)
        self.widen = nn.Linear(units, 2 * units)
        self.narrow = nn.Linear(2 * units, units)

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Map tokens (b, t, u) with a bias (b, h, t, t) to (b, t, u)."""
        heads = self.attend(self.before(tokens)).unflatten(2, (3, self.heads, -1))  # (b, t, 3, h, u / h)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (b, h, t, u / h) each
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)  # (b, h, t, u / h)
        tokens = tokens + self.join(mixed.transpose(1, 2).flatten(2))
        return tokens.add(self.narrow(F.gelu(self.widen(self.after(tokens)))))
