"""Many graphs as one: each node once, whoever asks for it, within a limit of memory."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnas.networks.graph import INPUT, Graph, GraphBuilder
from rlnas.networks.merge import merge, merge_within, peak
from rlnas.spaces import DartsSpace, NasnetSpace, NasrlFactoredSpace, NasrlSpace

OPERATORS = ("conv1x1", "conv3x3", "max_pool3x3", "identity")
SPACES = (
    NasrlSpace(5, OPERATORS, filters=3, reductions=2, widen=2),
    NasrlSpace(5, OPERATORS, filters=3, reductions=2, widen=2, stem_stride=2, merge="concat"),
    NasrlSpace(5, OPERATORS, filters=3, reductions=1, sharing="projection"),
    NasrlSpace(5, OPERATORS, filters=3, reductions=1, merge="concat", sharing="kernel"),
    NasrlFactoredSpace(4, (1, 3), (3,), (2, 3), (1, 2), (1, 2)),
    DartsSpace(("sep_conv3x3", "identity"), nodes=2, cells=3, filters=2),
    NasnetSpace(nodes=2, output="loose", pairs="any", cells=4, filters=2),
)
many = settings(max_examples=30)


@st.composite
def some_graphs(draw, most: int = 6) -> list[Graph]:
    """Architectures of one space, perhaps some of them equal, as graphs for images of an odd size."""
    space = draw(st.sampled_from(SPACES))
    codes = draw(st.lists(st.integers(0, space.size - 1), min_size=1, max_size=most))
    return [space.graph(space.unrank(code), image_channels=2, image_size=9, classes=5) for code in codes]


def terms(graph: Graph) -> list[str]:
    """For each node, all that its value depends on, written out (shortened by a hash)."""
    found: list[str] = []
    for node in graph.nodes:
        inputs = ["images" if source == INPUT else found[source] for source in node.inputs]
        text = repr((node.operator, node.key, node.channels, node.size, node.stride, inputs))
        found.append(hashlib.sha256(text.encode()).hexdigest())
    return found


def chain(*keys: str, head: bool = True) -> Graph:
    """3x3 convolutions with these keys one after the other, 4 channels of 8x8 pixels, and a head of 3 classes."""
    builder, last = GraphBuilder(1, (8, 8)), INPUT
    for key in keys:
        last = builder.add("conv3x3", [last], channels=4, key=key)
    if head:
        builder.add("head", [last], channels=3, key="head")
    return builder.build()


def one_node(**changes) -> Graph:
    """A single node on the images."""
    builder = GraphBuilder(4, (8, 8))
    options = {"operator": "conv3x3", "key": "a", "channels": 4, **changes}
    builder.add(options.pop("operator"), options.pop("inputs", [INPUT]), **options)
    return builder.build()


# -- merge -------------------------------------------------------------------------------------------------


def test_a_common_beginning_is_there_once():
    merged = merge([chain("a", "b", "c"), chain("a", "b", "d")])
    assert [node.key for node in merged.graph.nodes] == ["a", "b", "c", "head", "d", "head"]
    assert [node.inputs for node in merged.graph.nodes] == [(INPUT,), (0,), (1,), (2,), (1,), (4,)]
    assert merged.heads == (3, 5)


def test_equal_layers_on_different_inputs_are_not_the_same():
    """From the first difference on nothing is shared, although the weights of b and c are."""
    merged = merge([chain("a", "b", "c"), chain("x", "b", "c")])
    assert [node.key for node in merged.graph.nodes] == ["a", "b", "c", "head", "x", "b", "c", "head"]
    assert merged.heads == (3, 7)


def test_graphs_that_begin_alike_follow_each_other_and_heads_keep_their_order():
    merged = merge([chain("a", "b"), chain("x", "y"), chain("a", "c")])
    assert [node.key for node in merged.graph.nodes] == ["a", "b", "head", "c", "head", "x", "y", "head"]
    assert merged.heads == (2, 7, 4)


def test_a_graph_inside_another_adds_nothing():
    merged = merge([chain("a", "b", "c", head=False), chain("a", "b", head=False)])
    assert [node.key for node in merged.graph.nodes] == ["a", "b", "c"]
    assert merged.heads == (2, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"operator": "conv5x5"},
        {"key": "b"},
        {"channels": 5},
        {"stride": (1, 2), "size": (8, 8)},
        {"size": (8, 4)},
        {"inputs": [INPUT, INPUT]},
    ],
)
def test_whatever_changes_the_value_makes_another_node(changes):
    assert len(merge([one_node(), one_node(**changes)]).graph.nodes) == 2


def test_the_layer_it_is_drawn_in_does_not():
    assert len(merge([one_node(layer=1), one_node(layer=2)]).graph.nodes) == 1


def test_nodes_without_weights_are_shared_too_and_the_order_of_their_inputs_counts():
    def joined(*order: int) -> Graph:
        builder = GraphBuilder(1, (8, 8))
        parts = [builder.add("conv3x3", [INPUT], channels=4, key=key) for key in ("a", "b")]
        builder.add("sum", [parts[which] for which in order])
        return builder.build()

    assert len(merge([joined(0, 1), joined(0, 1)]).graph.nodes) == 3
    assert len(merge([joined(0, 1), joined(1, 0)]).graph.nodes) == 4


def test_one_graph_stays_as_it_is():
    graph = chain("a", "b")
    merged = merge([graph])
    assert merged.graph == graph
    assert merged.heads == (2,)


@pytest.mark.parametrize("copies", [2, 5])
def test_identical_graphs_cost_one(copies):
    graph = SPACES[0].graph(SPACES[0].unrank(SPACES[0].size - 1), image_channels=2, image_size=9, classes=5)
    merged = merge([graph] * copies)
    assert merged.graph == graph
    assert merged.heads == (len(graph.nodes) - 1,) * copies
    assert peak(merged.graph) == peak(graph)


@many
@given(some_graphs())
def test_every_node_of_every_graph_is_there_exactly_once(graphs):
    merged = merge(graphs)
    found, of_graphs = terms(merged.graph), [terms(graph) for graph in graphs]
    assert set(found) == {term for one in of_graphs for term in one}
    if len(graphs) > 1:  # a single one stays as it is, even where it computes something twice
        assert len(set(found)) == len(found)
    assert [found[head] for head in merged.heads] == [one[-1] for one in of_graphs]
    assert (merged.graph.channels, merged.graph.size) == (2, (9, 9))


@many
@given(some_graphs())
def test_inputs_come_before_their_users_and_everything_is_needed(graphs):
    merged = merge(graphs)
    for index, node in enumerate(merged.graph.nodes):
        assert all(INPUT <= source < index for source in node.inputs)
    used = {source for node in merged.graph.nodes for source in node.inputs}
    assert used | set(merged.heads) == set(range(INPUT, len(merged.graph.nodes)))
    assert not used & set(merged.heads)


@many
@given(some_graphs(), st.randoms(use_true_random=False))
def test_the_order_of_the_graphs_does_not_matter(graphs, random):
    order = list(range(len(graphs)))
    random.shuffle(order)
    one, other = merge(graphs), merge([graphs[which] for which in order])
    assert sorted(terms(one.graph)) == sorted(terms(other.graph))
    heads = [terms(other.graph)[head] for head in other.heads]
    assert [terms(one.graph)[one.heads[which]] for which in order] == heads


@many
@given(some_graphs(most=3), st.integers(2, 4))
def test_copies_add_no_node(graphs, copies):
    twice = [*graphs, graphs[0]]
    assert sorted(terms(merge(twice * copies).graph)) == sorted(terms(merge(twice).graph))


# -- merge_within ------------------------------------------------------------------------------------------


@many
@given(some_graphs(), st.data())
def test_groups_cover_each_graph_once_within_the_limit(graphs, data):
    limit = data.draw(st.integers(0, peak(merge(graphs).graph) + 1))
    groups = list(merge_within(graphs, limit))
    assert sorted(which for members, _ in groups for which in members) == list(range(len(graphs)))
    for members, merged in groups:
        assert len(members) == 1 or peak(merged.graph) <= limit
        found = terms(merged.graph)
        assert [found[head] for head in merged.heads] == [terms(graphs[which])[-1] for which in members]
        assert set(found) == {term for which in members for term in terms(graphs[which])}


@many
@given(some_graphs())
def test_a_huge_limit_makes_one_group_and_a_tiny_one_as_many_as_there_are_graphs(graphs):
    assert [sorted(members) for members, _ in merge_within(graphs, 10**12)] == [list(range(len(graphs)))]
    for limit in (0, 1):
        assert [len(members) for members, _ in merge_within(graphs, limit)] == [1] * len(graphs)


def test_no_graphs_make_no_group():
    assert list(merge_within([], 100)) == []


def test_graphs_that_begin_alike_share_a_group_and_a_group_is_as_large_as_fits():
    graphs = [chain("a", "b"), chain("x", "y"), chain("a", "c"), chain("x", "z")]
    pair = peak(merge([graphs[0], graphs[2]]).graph)
    assert peak(merge(graphs).graph) > pair
    assert [members for members, _ in merge_within(graphs, pair)] == [[0, 2], [1, 3]]
    assert [members for members, _ in merge_within(graphs, pair - 1)] == [[0], [2], [1], [3]]


# -- peak --------------------------------------------------------------------------------------------------


def test_the_peak_of_a_chain_by_hand():
    """An output of 4 x 8 x 8 is 256 values: a node's input, its output, and as much again inside it."""
    assert peak(chain("a", head=False)) == 2 * 256
    assert peak(chain("a", "b", head=False)) == 3 * 256
    assert peak(chain("a", "b", "c", head=False)) == 3 * 256  # a is gone when c runs


@pytest.mark.parametrize("skip", [False, True])
def test_the_peak_of_a_chain_with_a_skip_by_hand(skip):
    """A skip keeps a while c runs, so the peak is there and no more at b."""
    builder = GraphBuilder(1, (8, 8))
    a = builder.add("conv3x3", [INPUT], channels=4, key="a")  # 256 values
    b = builder.add("conv3x3", [a], channels=6, key="b")  # 384
    c = builder.add("conv3x3", [b], channels=4, key="c")  # 256
    joined = builder.add("sum", [c, a] if skip else [c])
    builder.add("reduce", [joined], channels=4, key="r", stride=(2, 2))  # 64
    at_b = 256 + 384 + 384
    at_c = (256 if skip else 0) + 384 + 256 + 256
    at_sum = (256 if skip else 0) + 256 + 256 + 256
    assert (at_b, at_c, at_sum) == ((1024, 1152, 1024) if skip else (1024, 896, 768))
    assert peak(builder.build()) == (at_c if skip else at_b)


def test_what_a_later_graph_needs_is_kept_for_it():
    """While the first graph runs, a waits for the second one: a, b, c and the inside of c."""
    alone, other = chain("a", "b", "c", head=False), chain("a", "d", head=False)
    assert peak(alone) == 3 * 256
    assert peak(merge([alone, other]).graph) == 4 * 256


@many
@given(some_graphs())
def test_a_member_more_at_the_end_never_lowers_the_peak(graphs):
    """As long as the nodes there were come first, in the order they had: then all of them live as long or longer."""
    before = merge(graphs[:1])
    for count in range(2, len(graphs) + 1):
        after = merge(graphs[:count])
        if after.graph.nodes[: len(before.graph.nodes)] == before.graph.nodes:
            assert peak(after.graph) >= peak(before.graph)
        before = after


@many
@given(some_graphs())
def test_the_peak_holds_each_node_with_its_inputs_and_no_more_than_everything(graphs):
    merged = merge(graphs).graph
    sizes = [node.channels * node.size[0] * node.size[1] for node in merged.nodes]
    for node, size in zip(merged.nodes, sizes, strict=True):
        assert peak(merged) >= 2 * size + sum(sizes[source] for source in {*node.inputs} - {INPUT})
    assert peak(merged) <= sum(sizes) + max(sizes)
