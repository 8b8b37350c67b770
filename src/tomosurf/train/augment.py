"""Random changes of a whole batch on its device.

Changing a batch at a time costs a few per cent of a training step; one image at a time, as MONAI's transforms work,
would leave a GPU idle for most of a run on images this small (docs/decisions/0008).
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import affine_grid, avg_pool3d, grid_sample, interpolate

from tomosurf.train.config import Augmentation

COARSE = 5
"""Control points along each axis of the random smooth fields."""

COARSER = ((2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 2))
"""By how much sampling is made coarser, one of these an image."""


class Augmenter:
    """Draws changes from its own generator, so that a seed fixes them, and asks nothing of the host, so that a CUDA
    graph can hold it.

    ``__call__`` takes images (n, inputs, x, y, z) float32, 0 where there is nothing, ``inside`` (n, 1, x, y, z)
    (1 within the image, 0 in the padding) and targets (n, channels, x, y, z), the probability of every channel; it
    returns changed images and targets. Edges are even.
    """

    def __init__(self, settings: Augmentation, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.generator = torch.Generator(device)

    def seed(self, seed: int) -> None:
        """From here on, draw what ``seed`` gives."""
        self.generator.manual_seed(seed)

    def __call__(
        self, images: torch.Tensor, inside: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Changed images (0 in the padding) and targets; what comes in from outside is background."""
        places = self._places(images)
        inputs = images.shape[1]
        parts = torch.cat([images, inside, targets[:, 1:]], dim=1)
        moved = grid_sample(parts, places, align_corners=False)
        seen, within, drawn = moved.split([inputs, 1, targets.shape[1] - 1], dim=1)
        background = 1 - drawn.sum(dim=1, keepdim=True)
        return self._recoloured(seen) * (within > 0.5), torch.cat([background, drawn], dim=1)

    def _uniform(self, *shape: int) -> torch.Tensor:
        """From -1 to 1."""
        return torch.rand(shape, generator=self.generator, device=self.device) * 2 - 1

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def _chosen(self, count: int, share: float, dimensions: int) -> torch.Tensor:
        """(n, 1, ...) of 1 and 0: a ``share`` of ones."""
        drawn = torch.rand(count, generator=self.generator, device=self.device) < share
        return drawn.float().reshape(-1, *[1] * (dimensions - 1))

    def _places(self, images: torch.Tensor) -> torch.Tensor:
        """(n, x, y, z, 3): where each changed voxel is read, in grid_sample's units and order."""
        settings, count = self.settings, len(images)
        moves = self._chosen(count, settings.spatial_probability, 1)
        matrices = self._matrices(count, moves)
        # grid_sample counts each axis from -1 to 1, last axis first: bring the voxel matrix into its units.
        half = torch.stack([torch.full((), edge / 2, device=self.device) for edge in images.shape[2:]])
        linear = (matrices * half[None, None, :] / half[None, :, None]).flip(1, 2)
        shift = self._uniform(count, 3) * settings.translation_voxels * moves[:, None]
        grid = affine_grid(
            torch.cat([linear, (shift / half).flip(1)[:, :, None]], dim=2),
            list(images.shape),
            align_corners=False,
        )
        bend = self._smooth_field(count, 3, images.shape[2:]) * settings.elastic_voxels
        bend = bend * moves[:, None, None, None, None]
        return grid + (bend / half[None, :, None, None, None]).flip(1).movedim(1, -1)

    def _matrices(self, count: int, moves: torch.Tensor) -> torch.Tensor:
        """(n, 3, 3) rotations times scales, mirrored for half of the batch if so set; in voxels."""
        settings = self.settings
        angles = self._uniform(count, 3) * math.radians(settings.rotation_degrees) * moves[:, None]
        result = torch.eye(3, device=self.device).repeat(count, 1, 1)
        for axis, (a, b) in enumerate(((1, 2), (0, 2), (0, 1))):
            turn = torch.eye(3, device=self.device).repeat(count, 1, 1)
            cosine, sine = angles[:, axis].cos(), angles[:, axis].sin()
            turn[:, a, a], turn[:, b, b] = cosine, cosine
            turn[:, a, b], turn[:, b, a] = -sine, sine
            result = result @ turn
        result = result * (1 + settings.scale * self._uniform(count, 1, 3) * moves[:, None, None])
        if settings.mirror_axis is not None:
            result[:, :, settings.mirror_axis] *= self._uniform(count, 1).sign()
        return result

    def _smooth_field(self, count: int, channels: int, size: torch.Size) -> torch.Tensor:
        """(n, channels, *size) of standard deviation near 1, changing over a fifth of the window."""
        coarse = self._normal(count, channels, COARSE, COARSE, COARSE)
        fine = interpolate(coarse, size=[n // 2 for n in size], mode="trilinear", align_corners=True)
        return interpolate(fine, size=list(size), mode="trilinear", align_corners=False)

    def _recoloured(self, images: torch.Tensor) -> torch.Tensor:
        settings, count = self.settings, len(images)
        images = self._softened(images)
        images = images * torch.exp(
            settings.bias_field * self._some(count) * self._smooth_field(count, 1, images.shape[2:])
        )
        images = images * (1 + settings.contrast * self._drawn(count))
        images = images + settings.brightness * self._drawn(count)
        low, high = images.amin(dim=(2, 3, 4), keepdim=True), images.amax(dim=(2, 3, 4), keepdim=True)
        span = (high - low).clamp_min(1e-6)
        power = torch.exp(settings.gamma * self._drawn(count))
        images = ((images - low) / span) ** power * span + low
        strength = settings.noise * self._drawn(count).clamp_min(0)
        return images + strength * self._normal(*images.shape)

    def _softened(self, images: torch.Tensor) -> torch.Tensor:
        """Some blurred, some as if sampled coarser along one axis or all."""
        settings, count = self.settings, len(images)
        blurred = avg_pool3d(images, 3, stride=1, padding=1)
        images = torch.lerp(images, blurred, self._chosen(count, settings.blur_probability, 5))
        if settings.coarse_probability == 0:
            return images
        size = list(images.shape[2:])
        coarse = torch.stack(
            [
                interpolate(avg_pool3d(images, by), size=size, mode="trilinear", align_corners=False)
                for by in COARSER
            ]
        )
        which = torch.randint(len(COARSER), (count,), generator=self.generator, device=self.device)
        one_each = coarse[which, torch.arange(count, device=self.device)]
        return torch.lerp(images, one_each, self._chosen(count, settings.coarse_probability, 5))

    def _drawn(self, count: int) -> torch.Tensor:
        """(n, 1, 1, 1, 1) from -1 to 1, and 0 for those that stay as they are."""
        return self._uniform(count, 1, 1, 1, 1) * self._some(count)

    def _some(self, count: int) -> torch.Tensor:
        return self._chosen(count, self.settings.intensity_probability, 5)
