"""Binding sites: the net finds what matrices and words cannot, says where, and its saliency is the motif that was planted."""
import numpy as np
import pytest
from scripts import example, printed, stream_is_the_model

from streamrnn import metrics

genes = example("jobs/genes")


@pytest.fixture(scope="module")
def reader():
    """(a trained model, what it learnt from, sequences of the test)"""
    rng = np.random.default_rng(0)
    learn, test = genes.sequences(4000, rng), genes.sequences(2000, rng)
    return genes.train(*learn, epochs=15)[0], learn, test


def test_sites_are_found_where_they_are(reader):
    model, learn, (bases, starts) = reader
    logits, there = model.run(genes.one_hot(bases))[..., 0], starts[:, 0] >= 0
    area = metrics.roc_auc(there, logits[:, -1])
    assert area > 0.92
    for baseline in (genes.fixed_matrix, genes.two_matrices):
        assert metrics.roc_auc(there, baseline(*learn, bases)) < area - 0.12
    recipe = metrics.roc_auc(there, genes.recipe(*learn, bases))
    assert recipe - 0.04 < area and recipe < 0.99                               # mutations hide some from whoever knows the rule
    assert metrics.recall_at(there, logits[:, -1], 0.95) > 0.65
    assert np.mean(np.abs(genes.placed(logits[there]) - (starts[there, 1] + 7)) <= 3) > 0.75


def test_words_do_not_find_them(reader):
    pytest.importorskip("sklearn")
    _, (bases, starts), (test, truth) = reader
    assert metrics.roc_auc(truth[:, 0] >= 0, genes.kmer_regression(bases[:2000], starts[:2000], test)) < 0.8


def test_the_saliency_is_the_motif(reader):
    model, _, (bases, starts) = reader
    heights = genes.learnt(model, bases, starts, count=60)
    for half, planted in ((heights[:8], genes.LEFT), (heights[8:], genes.RIGHT)):
        kept = [k for k in range(8) if genes.KEPT[k] > 0.8]
        right = sum(genes.consensus(half)[k] == planted[k] for k in kept)
        assert right >= len(kept) - 2
        assert np.abs(half[kept]).mean() > np.abs(half[[0, 7]]).mean()      # what mutates often counts less


def test_planted_and_decoys():
    rng = np.random.default_rng(3)
    for kind in genes.DECOYS:
        assert genes.sequence(kind, rng)[1] is None
    for _ in range(50):
        bases, (left, right) = genes.sequence("site", rng)
        assert 2 <= right - left - 8 <= 12 and right + 8 <= genes.LENGTH == len(bases)
    assert 0.4 < np.mean(genes.sequences(300, rng)[1][:, 0] >= 0) < 0.6


def test_scan_by_hand():
    weights, bases = np.arange(8.0).reshape(2, 4), np.array([[0, 3, 2, 1]])
    assert genes.scan(weights, bases).tolist() == [[0 + 7, 3 + 6, 2 + 5]]


def test_a_stream_of_bases_is_the_model(reader):
    assert stream_is_the_model(reader[0], genes.one_hot(reader[2][0][0]))


def test_the_script(tmp_path):
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)
    picture = tmp_path / "logo.png"
    out = printed("jobs/genes", "--count", 300, "--epochs", 2, "--plot", picture)
    assert "area under the ROC curve" in out and "as a stream, base by base" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "--epochs" in printed("jobs/genes", "--help")
