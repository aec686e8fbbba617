"""Every field with its default: the paper's settings for Cityscapes (256x512, batch 8).

Other configurations start from this one and change fields only. Any field can be changed on the
command line, such as `--config.steps=20` or `--config.generator.width=32`.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """All fields of a run."""
    return ml_collections.ConfigDict(
        {
            # Decides initial weights, order of the data and noise; same seed, same run.
            "seed": 0,
            # Train steps, each one update of all players.
            "steps": 100_000,
            # Samples in a step on all devices together; must divide over the devices.
            "batch_size": 8,
            # alternating: generator, then segmenter, then discriminator, each on a fresh sample
            # (published order). joint: generator and segmenter share one pass (faster).
            "update": "alternating",
            # How a step is spread over devices: shard_map (any number of hosts) or pmap (one).
            "mapping": "shard_map",
            # Precision of the networks' arithmetic: float32 or bfloat16; weights stay float32.
            "compute_dtype": "float32",
            # What the backward pass computes again instead of keeping it: none, or blocks (all but
            # the inputs of each network's blocks: less memory, about a third more arithmetic).
            "remat": "none",
            # Keep compiled programs in WORKDIR/compilation_cache (at most 1 GiB), so that the next
            # start there, and sample and evaluate, need not compile them again.
            "compilation_cache": True,
            # Steps between two lines of metrics; the last line comes at the end.
            "log_interval": 50,
            # Steps between two sample grids; 0 = only at the end.
            "sample_interval": 1000,
            # Steps between two checkpoints; 0 = only at the end.
            "checkpoint_interval": 1000,
            # Steps between two measurements on the validation data, and at the end; 0 = none.
            "eval_interval": 5000,
            # Latest checkpoints kept, besides the best one.
            "keep_checkpoints": 3,
            # Times that a run whose loss is not finite goes back to its last checkpoint and on with
            # another order of the data; 0 = it stops.
            "rollbacks": 0,
            # Steps between two gradient penalties on real images (lazy R1); 0 = none.
            "r1_interval": 16,
            # Weight of the R1 penalty; it counts r1_gamma / 2 * r1_interval each time.
            "r1_gamma": 10.0,
            # Decay of the moving average of the generator's weights that samples are drawn from.
            "ema_decay": 0.9999,
            "method": {
                # How images are learned from label maps: usis.
                "name": "usis",
            },
            "data": _data(),
            **_networks(),
            "loss": {
                # Weight of the segmentation loss of the generator (lambda_seg).
                "segmentation": 1.0,
                # Weight of the adversarial loss of the generator.
                "adversarial": 1.0,
            },
            # Adam for every player.
            "optimizer": {
                "generator_rate": 1e-4,
                "segmenter_rate": 1e-4,
                # Of the discriminator and the decoder.
                "discriminator_rate": 1e-4,
                # Steps over which the discriminator's rate rises from nothing: what opposes the
                # segmenter in its first hundreds of steps can make the generator lose the map.
                "discriminator_warmup": 0,
                "beta1": 0.0,
                "beta2": 0.999,
            },
            "evaluation": _evaluation(),
            "wandb": {
                # Project of Weights & Biases that gets the numbers and sample grids, too (needs
                # `pip install wandb`); empty = none.
                "project": "",
            },
        }
    )


def _data():
    return {
        # NAME:SPLIT of the photos. NAME is scenes, camvid, faces, cityscapes, ade20k, coco_stuff,
        # gta5, kitti (photos only) or any name for a folder of your own; SPLIT is such as train or
        # train[:50%]. Several with commas between them, and @WEIGHT after each for its share among
        # the photos drawn, such as cityscapes:train@0.7,kitti:train@0.3; without weights all
        # photos are equally likely.
        "photos": "scenes:train",
        # NAME:SPLIT of the label maps, which are never paired with the photos.
        "labels": "scenes:train",
        # NAME:SPLIT of paired photos and label maps, for sample grids and for measuring only.
        "validation": "scenes:validation",
        # Where `usis prepare` writes; empty = $TFDS_DATA_DIR or ~/tensorflow_datasets.
        "prepared_dir": "",
        # Size that the networks see; a multiple of their strides.
        "height": 256,
        "width": 512,
        # Size at which training data are stored; 0 = the size above. If larger, training crops at
        # random. Validation data are always stored at the size above.
        "load_height": 0,
        "load_width": 0,
        # Mirror photos and label maps at random in training.
        "flip": True,
        # Share of label maps, 0 to 1, for which first a class is drawn, rare ones more often, and
        # then one of the maps that hold it (DAFormer's rare-class sampling); 0 = all maps equally
        # likely (the paper).
        "class_balance": 0.0,
        # Threads that read and decode photos, and as many for label maps; 0 = none, a batch is read
        # when it is asked for; -1 = one for each core, at most 8.
        "threads": -1,
        # Classes of the label maps; empty = the data set's own. The name of a built-in spec
        # (cityscapes, cityscapes19, gta5, ade20k, coco_stuff, camvid, scenes, faces): the data
        # set's classes become those of the same name there. Path of a TOML or YAML file: what the
        # ids in the files mean.
        "label_spec": "",
        # Scenes drawn for training (data set scenes only).
        "num_scenes": 1500,
        # Scenes drawn for each of validation and test (data set scenes only).
        "num_validation": 200,
    }


def _evaluation():
    return {
        # What is measured every eval_interval steps: a comma list of swd (sliced Wasserstein
        # distance), spectrum (power spectrum and Haar sub-bands), consistency (what the run's own
        # segmenter reads), ms_ssim (diversity), fid, kid (with Inception's weights), evaluator
        # (mIoU, with evaluation.evaluator). The first three need only the validation data.
        "measures": "swd,spectrum,consistency",
        # The value that decides which checkpoint is the best: swd; spectral_distance,
        # haar_distance; consistency_miou, consistency_pixel_accuracy; ms_ssim; fid; kid; miou,
        # pixel_accuracy, fd_evaluator, kd_evaluator. The highest accuracy or mIoU is the best, the
        # lowest of everything else.
        "best": "swd",
        # Most validation label maps to generate from, and most real images to compare with;
        # 0 = all.
        "photos": 200,
        # Images generated from each of 5 label maps, for ms_ssim.
        "samples": 4,
        # Folder that `usis train-evaluator` wrote; the measure evaluator needs it.
        "evaluator": "",
        # File or folder with Inception's weights, for fid and kid; empty = where
        # `usis get-weights inception` keeps them.
        "inception": "",
        # How images are resized for Inception: fid-published or fid-clean.
        "preset": "fid-published",
    }


def _networks():
    return {
        "generator": {
            # spade: SPADE blocks (OASIS's, the paper's choice). wavelet: the same on Haar
            # coefficients, of the method's short version.
            "name": "spade",
            # Channels of the last block; each block has width * multiplier (wavelet: four times
            # as many).
            "width": 64,
            # One for the start and one for each residual block; the stride is
            # 2 ** (len(multipliers) - 2), of wavelet 2 ** (len(multipliers) - 1).
            "multipliers": (16, 16, 16, 8, 4, 2, 1),
            # Channels of the noise.
            "z_dim": 64,
            # image: one noise vector for an image; pixel: one for each of its pixels; mixed: half
            # of the channels one, half the other.
            "noise": "image",
            # Hidden channels of the layers that turn the label map into scale and shift.
            "spade_width": 128,
            # Their kernel size.
            "spade_kernel": 3,
        },
        "segmenter": {
            # Widths of the blocks that halve; the stride is 2 ** len(down).
            "down": (128, 128, 256, 256, 512, 512),
            # Widths of the blocks that double, as many.
            "up": (512, 256, 256, 128, 128, 64),
        },
        "discriminator": {
            # wavelet: Haar coefficients of the whole image (the paper's choice). whole: pixels of
            # the whole image. patch: pixels of square tiles, a score each. With whole and patch,
            # decoder.name must be none.
            "name": "wavelet",
            # Side of a tile of patch: a power of two that divides height and width.
            "patch": 64,
            # Channels at a size are channel_base / size, but at most channel_max.
            "channel_base": 32768,
            "channel_max": 512,
            # Width of the dense layer before the score.
            "dense": 512,
            # Images that share one minibatch standard deviation (patch: each tile of them).
            "stddev_group": 4,
            # local: neighbours form a group, so that N devices compute what one does;
            # published: every (batch / group)-th sample, as in the published code.
            "stddev_grouping": "local",
            # Halvings after the first (wavelet: after the Haar transform); 0 = as many as leave 4
            # pixels on the longer side.
            "levels": 0,
            # Differentiable augmentation of what the discriminator sees: a comma list of color,
            # translation, cutout; empty = none (the paper).
            "augment": "",
        },
        "decoder": {
            # Table 4 of the paper: wavelet_upsample (with instance norm, the paper's choice),
            # wavelet_upsample_batch_norm, transposed (transposed convolutions, batch norm); or
            # none, for a discriminator without reconstruction.
            "name": "wavelet_upsample",
            # Weight of the reconstruction loss.
            "weight": 1.0,
            # Most channels of a block, a multiple of 4.
            "width_max": 512,
        },
    }
