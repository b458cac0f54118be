"""Samplers against a target whose flow is known in closed form; thresholding; guidance; noise of the row's own."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from imagen_model.diffusion import (
    guided,
    noised,
    sample,
    sampling_times,
    threshold,
    training_times,
    velocity_loss,
)
from imagen_model.sampling import normals, uniforms

MEAN, SPREAD = 0.3, 0.2


def exact(image: Tensor, time: float) -> Tensor:
    """E[x | z_t] where x ~ N(MEAN, SPREAD**2): the best that any network could predict."""
    signal = 1 - time
    gain = signal * SPREAD**2 / (signal**2 * SPREAD**2 + time**2)
    return MEAN + gain * (image - signal * MEAN)


def error(sampler: str, steps: int) -> float:
    """Against the flow's end: a normal target keeps the noise's place in its own distribution."""
    noise = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = sample(exact, noise, sampling_times(steps, 1.0), sampler)
    return float((made - (MEAN + SPREAD * noise)).abs().max())


def test_euler_and_heun_reach_the_known_end_at_their_orders() -> None:
    euler = [error("euler", steps) for steps in (16, 32, 64)]
    heun = [error("heun", steps) for steps in (16, 32, 64)]
    for coarse, fine in pairwise(euler):
        assert 1.6 < coarse / fine < 2.6, "Euler's error halves when the steps double"
    for coarse, fine in pairwise(heun):
        assert coarse / fine > 3.0, "Heun's error falls with the square of the steps"
    assert heun[-1] < euler[-1] < 0.05


def test_one_euler_step_is_the_prediction_from_noise() -> None:
    noise = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(sample(exact, noise, [1.0, 0.0]), exact(noise, 1.0), atol=1e-6, rtol=0)


def test_an_euler_step_is_ddim() -> None:
    """DDIM keeps the predicted noise: z_s = (1 - s) x + s e, with e = (z_t - (1 - t) x) / t."""
    image, now, after = torch.randn(2, 3, 4, 4, dtype=torch.float64), 0.7, 0.4
    clean = exact(image, now)
    noise = (image - (1 - now) * clean) / now
    stepped: list[Tensor] = []

    def watch(state: Tensor, time: float) -> Tensor:
        stepped.append(state)
        return exact(state, time)

    sample(watch, image, [now, after, 0.0])
    torch.testing.assert_close(stepped[1], (1 - after) * clean + after * noise)


def test_ancestral_steps_end_in_the_target_distribution() -> None:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(32, 3, 16, 16, generator=generator, dtype=torch.float64)

    def fresh(step: int) -> Tensor:
        return torch.randn(noise.shape, generator=generator, dtype=torch.float64)

    wrong = []
    for steps in (50, 200):
        made = sample(exact, noise, sampling_times(steps, 1.0), "ancestral", fresh)
        assert abs(float(made.mean()) - MEAN) < 0.005
        wrong.append(abs(float(made.std()) - SPREAD))
        # Fresh noise took the place of what it began with.
        assert abs(float(((made - made.mean()) * noise).mean())) < 0.1 * SPREAD
    assert wrong[1] < wrong[0] / 2 and wrong[1] < 0.01


def test_thresholds() -> None:
    row = torch.linspace(-2, 2, 101).view(1, 1, 101, 1)
    quiet = row / 4
    assert threshold(row, None).abs().max() == 1
    both = threshold(torch.cat((row, quiet)), 0.9)
    limit = row.abs().flatten().quantile(0.9)
    torch.testing.assert_close(both[:1], row.clamp(-limit, limit) / limit)
    assert torch.equal(both[1:], quiet), "a row within the range must stay as it is, whatever its neighbour"


def test_guidance_is_in_one_batch_with_a_scale_a_row() -> None:
    toward, away = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2)
    mixed = guided(torch.cat((toward, away)), torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(mixed[0], toward[0])
    torch.testing.assert_close(mixed[1], 3 * toward[1] - 2 * away[1])


def test_times_run_from_noise_to_picture() -> None:
    times = sampling_times(4, 3.0)
    assert times[0] == 1 and times[-1] == 0 and times == sorted(times, reverse=True)
    assert times[2] == pytest.approx(0.75), "a shift of 3 moves the middle to 3/4"
    drawn = training_times(4000, 1.0)
    assert drawn.min() > 0 and drawn.max() < 1 and abs(float(drawn.median()) - 0.5) < 0.05


def test_the_loss_is_that_of_the_velocity() -> None:
    clean, noise, predicted = (torch.randn(3, 3, 4, 4) for _ in range(3))
    time = torch.tensor([0.2, 0.5, 0.9])
    state = noised(clean, noise, time)
    t = time.view(-1, 1, 1, 1)
    direct = ((state - predicted) / t - (noise - clean)).square().mean()
    torch.testing.assert_close(velocity_loss(clean, predicted, time), direct)


def test_noise_belongs_to_the_seed_and_the_stream() -> None:
    together = normals([7, 8], (3, 4, 4), "super_resolution[0]")
    assert torch.equal(together[1], normals([8], (3, 4, 4), "super_resolution[0]")[0])
    assert not torch.equal(together[1], normals([8], (3, 4, 4), "super_resolution[1]")[0])
    assert abs(float(normals([1], (100, 100), "base").mean())) < 0.05
    assert not torch.equal(uniforms([8], 16)[0], together[1].flatten()[:16])
