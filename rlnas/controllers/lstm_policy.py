"""The autoregressive LSTM controller of Zoph & Le (2017) and ENAS, as a stable-baselines3 policy.

Layer by layer the LSTM chooses each factor of the operator, then attends over the earlier layers to choose
skips (anchor points, Zoph & Le section 3.2): P(skip from j to i) = sigmoid(2 v . tanh(W_1 h_j + W_2 h_i)).
The choices of one layer depend on each other, which independent MultiDiscrete components cannot express.

The environment's observation holds every choice so far, so the policy keeps no state between steps: it unrolls the
LSTM from the first layer to the current one at each step. So it is exact for any algorithm that calls
`evaluate_actions` on shuffled steps (PPO), and costs little at these sizes.

Axes: b rows, t layers, m components of a layer, w = sum(nvec), u hidden units.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional as F

from rlnas.spaces import Space


class Walk(NamedTuple):
    """Result of unrolling the LSTM, for the current layer of each row.

    actions (b, m) int64, log_prob (b,), entropy (b,) in nats, values (b,), skip_divergence (b,): the sum
    over possible skips of KL(policy || Bernoulli(skip_target)) in nats.
    """

    actions: Tensor
    log_prob: Tensor
    entropy: Tensor
    values: Tensor
    skip_divergence: Tensor


class LstmPolicy(ActorCriticPolicy):
    """Autoregressive policy over the layers of a space that masks illegal choices.

    space: the search space. hidden_size: u. num_layers: of the LSTM (Zoph & Le: 2 of 35, ENAS: 1 of 64).
    temperature: divides the operator logits. tanh_constant: bounds logits to c * tanh(logits), 0 for none
    (ENAS: 1.5). init_range: weights start uniform in [-init_range, init_range] (Zoph & Le: 0.08, ENAS: 0.1).
    skip_target: see Walk. Needs `step_unit=layer`.
    """

    def __init__(
        self,
        observation_space: gymnasium.spaces.Space[Any],
        action_space: gymnasium.spaces.Space[Any],
        lr_schedule: Callable[[float], float],
        *,
        space: Space,
        hidden_size: int = 64,
        num_layers: int = 1,
        temperature: float = 1.0,
        tanh_constant: float = 1.5,
        init_range: float = 0.1,
        skip_target: float = 0.4,
        **kwargs: Any,
    ):
        self.nas_space = space
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        self.init_range = init_range
        self.skip_target = skip_target
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        """Create this policy's modules instead of SB3's, then the optimizer as SB3 does."""
        space, units = self.nas_space, self.hidden_size
        self.factors = space.nvec[: len(space.nvec) - space.skip_bits]
        self.start = nn.Parameter(torch.empty(units))
        self.cells = nn.ModuleList(nn.LSTMCell(units, units) for _ in range(self.num_layers))
        self.choose = nn.ModuleList(nn.Linear(units, choices) for choices in self.factors)
        self.embed = nn.ModuleList(nn.Embedding(choices, units) for choices in self.factors)
        self.anchor_key = nn.Linear(units, units, bias=False)  # W_1
        self.anchor_query = nn.Linear(units, units, bias=False)  # W_2
        self.anchor_score = nn.Linear(units, 1, bias=False)  # v
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -self.init_range, self.init_range)
        self.value = nn.Linear(units, 1)  # only algorithms with a critic train it
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

    # -- unrolling -------------------------------------------------------------------------------------

    def walk(self, observations: Tensor, actions: Tensor | None = None, deterministic: bool = False) -> Walk:
        """Unroll the LSTM from the first layer to the current one of each row; sample `actions` (b, m) if None."""
        chosen, position = self._decode(observations)  # (b, t, m), (b,)
        legal = observations[:, -sum(self.nas_space.nvec) :] > 0  # (b, w), of the current layer
        rows = observations.shape[0]
        zeros = observations.new_zeros(rows)
        log_prob, entropy, values, divergence = zeros, zeros, zeros, zeros
        taken = torch.zeros(rows, chosen.shape[2], dtype=torch.int64, device=observations.device)
        state = [
            (observations.new_zeros(rows, self.hidden_size), observations.new_zeros(rows, self.hidden_size))
            for _ in self.cells
        ]
        anchors: list[Tensor] = []  # of each layer: h (b, u)
        keys: list[Tensor] = []  # of each layer: W_1 h (b, u)
        x = self.start.expand(rows, -1)  # (b, u)
        for layer in range(int(position.max().clamp(max=self.nas_space.steps - 1)) + 1):
            now = position == layer  # (b,)
            decisions: list[Tensor] = []
            start = 0
            for factor, choices in enumerate(self.factors):
                hidden = self._advance(x, state)  # (b, u)
                if factor == 0:
                    values = torch.where(now, self.value(hidden).squeeze(1), values)
                logits = self._bound(self.choose[factor](hidden) / self.temperature)  # (b, choices)
                # at other layers the choice is known and the masked logits are not used
                logits = logits.masked_fill(~legal[:, start : start + choices], float("-inf"))
                choice = Categorical(logits=logits)
                drawn = logits.argmax(dim=1) if deterministic else choice.sample()  # (b,)
                here = drawn if actions is None else actions[:, factor]
                decision = torch.where(now, here, chosen[:, layer, factor])  # (b,)
                log_prob = log_prob + torch.where(now, choice.log_prob(decision), zeros)
                entropy = entropy + torch.where(now, _entropy(choice.logits), zeros)
                decisions.append(decision)
                x = self.embed[factor](decision)  # (b, u)
                start += choices
            if self.nas_space.skip_bits:
                hidden = self._advance(x, state)
                free = legal[:, start + 1 :: 2]  # (b, skip bits): whether a bit may be 1
                bits, x = self._skips(layer, hidden, anchors, keys, now, free, chosen, actions, deterministic)
                if bits is not None:
                    log_prob = log_prob + torch.where(now, bits.log_prob, zeros)
                    entropy = entropy + torch.where(now, bits.entropy, zeros)
                    divergence = divergence + torch.where(now, bits.divergence, zeros)
                    decisions += list(bits.decisions.unbind(1))
                anchors.append(hidden)
                keys.append(self.anchor_key(hidden))
            padded = torch.zeros_like(taken)
            padded[:, : len(decisions)] = torch.stack(decisions, dim=1)
            taken = torch.where(now[:, None], padded, taken)
        return Walk(taken, log_prob, entropy, values, divergence)

    def _skips(
        self,
        layer: int,
        hidden: Tensor,
        anchors: list[Tensor],
        keys: list[Tensor],
        now: Tensor,
        free: Tensor,
        chosen: Tensor,
        actions: Tensor | None,
        deterministic: bool,
    ) -> "tuple[_Bits | None, Tensor]":
        """Return a layer's skip bits from each layer before its predecessor, and the next input (b, u)."""
        count = layer - 1
        if count <= 0:
            return None, torch.zeros_like(hidden)
        query = self.anchor_query(hidden)[:, None]  # (b, 1, u)
        scores = self.anchor_score(torch.tanh(torch.stack(keys[:count], dim=1) + query)).squeeze(2)
        logits = 2 * self._bound(scores)  # (b, j); ENAS: a softmax over (-score, score)
        drawn = logits > 0 if deterministic else torch.rand_like(logits) < torch.sigmoid(logits)
        first = len(self.factors)
        free = free[:, :count]  # (b, j): the others are no choice
        drawn = drawn & free
        here = drawn.long() if actions is None else actions[:, first : first + count]
        decisions = torch.where(now[:, None], here, chosen[:, layer, first : first + count])  # (b, j)
        used = decisions.to(hidden.dtype)
        terms = F.binary_cross_entropy_with_logits(logits, used, reduction="none")  # (b, j)
        log_prob = -terms.masked_fill(~free, 0).sum(1)
        on, off = F.logsigmoid(logits), F.logsigmoid(-logits)  # log-probabilities (b, j)
        p = on.exp()
        entropy = -(p * on + (1 - p) * off).masked_fill(~free, 0).sum(1)
        target = torch.tensor(self.skip_target, device=logits.device)
        divergences = p * (on - target.log()) + (1 - p) * (off - (1 - target).log())  # (b, j)
        divergence = divergences.masked_fill(~free, 0).sum(1)
        mixed = (torch.stack(anchors[:count], dim=1) * used[:, :, None]).sum(1)  # (b, u)
        x = mixed / (1 + used.sum(1, keepdim=True))  # ENAS: sum of the chosen anchors / (1 + their number)
        return _Bits(decisions, log_prob, entropy, divergence), x

    def _advance(self, x: Tensor, state: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Run one LSTM step; replaces the entries of `state` in place."""
        for depth, cell in enumerate(self.cells):
            state[depth] = cell(x, state[depth])
            x = state[depth][0]
        return x

    def _bound(self, logits: Tensor) -> Tensor:
        return self.tanh_constant * torch.tanh(logits) if self.tanh_constant else logits

    def _decode(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the choices so far (b, t, m) and the current layer (b,), t where all are made."""
        space = self.nas_space
        width = sum(space.nvec)
        one_hot = observations[:, : space.steps * width].view(-1, space.steps, width)
        chosen = torch.stack([part.argmax(2) for part in one_hot.split(list(space.nvec), dim=2)], dim=2)
        where = observations[:, space.steps * width : space.steps * (width + 1)]  # (b, t)
        done = where.sum(1) == 0
        return chosen, torch.where(done, space.steps, where.argmax(1))

    # -- interface of stable-baselines3 ----------------------------------------------------------------

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions (b, m), values (b, 1) and log-probabilities (b,)."""
        walk = self.walk(obs, deterministic=deterministic)
        return walk.actions, walk.values[:, None], walk.log_prob

    def evaluate_actions(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """Return values (b, 1), log-probabilities (b,) and entropies (b,) of given actions."""
        walk = self.walk(obs, actions.long())
        return walk.values[:, None], walk.log_prob, walk.entropy

    def _predict(self, observation: Tensor, deterministic: bool = False) -> Tensor:  # type: ignore[override]
        return self.walk(observation, deterministic=deterministic).actions

    def predict_values(self, obs: Tensor) -> Tensor:  # type: ignore[override]
        """Return values (b, 1)."""
        return self.walk(obs, deterministic=True).values[:, None]


class _Bits(NamedTuple):
    decisions: Tensor  # (b, j) int64
    log_prob: Tensor  # (b,)
    entropy: Tensor  # (b,)
    divergence: Tensor  # (b,)


def _entropy(log_probs: Tensor) -> Tensor:
    """Return the entropy (b,) of normalised log-probabilities (b, choices), some of which may be -inf."""
    probabilities = log_probs.exp()
    return -(probabilities * log_probs.clamp(min=torch.finfo(log_probs.dtype).min)).sum(1)
