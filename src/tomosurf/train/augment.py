"""Random changes of a whole batch on its device.

Changing a batch at a time costs about as much as one training step's first layer; one image at a time, as
MONAI's transforms work, would leave a GPU idle for most of a run on images this small.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import affine_grid, avg_pool3d, grid_sample, interpolate, one_hot

from tomosurf.train.config import Augmentation

COARSE = 5
"""Control points along each axis of the random smooth fields."""


class Augmenter:
    """Draws changes from its own generator, so that a seed fixes them.

    ``__call__`` takes images (n, 1, x, y, z) float32, 0 where there is nothing, ``inside`` of the same shape
    (1 within the image, 0 in the padding) and labels (n, x, y, z) int64 below ``channels``; it returns
    changed images and labels.
    """

    def __init__(self, settings: Augmentation, channels: int, device: torch.device, seed: int) -> None:
        self.settings = settings
        self.channels = channels
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)

    def __call__(
        self, images: torch.Tensor, inside: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Changed images (0 in the padding) and labels."""
        places = self._places(images)
        onehot = one_hot(labels, self.channels).movedim(-1, 1).to(images.dtype)
        moved = grid_sample(torch.cat([images, inside], dim=1), places, align_corners=False)
        voted = grid_sample(onehot[:, 1:], places, align_corners=False)
        background = 1 - voted.sum(dim=1, keepdim=True)
        drawn = torch.cat([background, voted], dim=1).argmax(dim=1)
        return self._recoloured(moved[:, :1]) * (moved[:, 1:] > 0.5), drawn

    def _uniform(self, *shape: int) -> torch.Tensor:
        """From -1 to 1."""
        return torch.rand(shape, generator=self.generator, device=self.device) * 2 - 1

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def _places(self, images: torch.Tensor) -> torch.Tensor:
        """(n, x, y, z, 3): where each changed voxel is read, in grid_sample's units and order."""
        count, size = len(images), torch.tensor(images.shape[2:], device=self.device)
        matrices = self._matrices(count)
        # grid_sample counts each axis from -1 to 1, last axis first: bring the voxel matrix into its units.
        half = size.to(torch.float32) / 2
        linear = (matrices * half[None, None, :] / half[None, :, None]).flip(1, 2)
        shift = (self._uniform(count, 3) * self.settings.translation_voxels / half).flip(1)
        grid = affine_grid(
            torch.cat([linear, shift[:, :, None]], dim=2), list(images.shape), align_corners=False
        )
        bend = self._smooth_field(count, 3, images.shape[2:]) * self.settings.elastic_voxels
        return grid + (bend / half[None, :, None, None, None]).flip(1).movedim(1, -1)

    def _matrices(self, count: int) -> torch.Tensor:
        """(n, 3, 3) rotations times scales, mirrored for half of the batch if so set; in voxels."""
        settings = self.settings
        angles = self._uniform(count, 3) * math.radians(settings.rotation_degrees)
        result = torch.eye(3, device=self.device).repeat(count, 1, 1)
        for axis, (a, b) in enumerate(((1, 2), (0, 2), (0, 1))):
            turn = torch.eye(3, device=self.device).repeat(count, 1, 1)
            cosine, sine = angles[:, axis].cos(), angles[:, axis].sin()
            turn[:, a, a], turn[:, b, b] = cosine, cosine
            turn[:, a, b], turn[:, b, a] = -sine, sine
            result = result @ turn
        result = result * (1 + settings.scale * self._uniform(count, 1, 3))
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
        blurred = avg_pool3d(images, 3, stride=1, padding=1)
        chosen = self._uniform(count, 1, 1, 1, 1) < 2 * settings.blur_probability - 1
        images = torch.where(chosen, blurred, images)
        images = images * torch.exp(settings.bias_field * self._smooth_field(count, 1, images.shape[2:]))
        images = images * (1 + settings.contrast * self._uniform(count, 1, 1, 1, 1))
        images = images + settings.brightness * self._uniform(count, 1, 1, 1, 1)
        low, high = images.amin(dim=(2, 3, 4), keepdim=True), images.amax(dim=(2, 3, 4), keepdim=True)
        span = (high - low).clamp_min(1e-6)
        power = torch.exp(settings.gamma * self._uniform(count, 1, 1, 1, 1))
        images = ((images - low) / span) ** power * span + low
        strength = settings.noise * self._uniform(count, 1, 1, 1, 1).clamp_min(0)
        return images + strength * self._normal(*images.shape)
