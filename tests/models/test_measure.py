"""A model's size is what decides the FLOPs of a token."""

from specacts.models.measure import model_size


def test_the_model_size_is_counted_from_the_weights(model):
    size, config = model_size(model), model.config
    total = sum(p.numel() for p in model.parameters())  # tied: the embedding is the head
    assert size.body + size.head == total
    assert size.head == config.vocab_size * config.hidden_size
    assert size.layers == 2
    assert size.attention == 4 * (getattr(config, "head_dim", None) or 8)
