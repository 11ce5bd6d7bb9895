"""What becomes of the odd, broken and hostile files in the zoo: these end with a reason, all others as a picture."""

from __future__ import annotations

NUM_READABLE = {"png": 314, "tiff": 90, "jpeg": 53, "gif": 36, "webp": 14, "ppm": 12, "bmp": 9}

_DAMAGED_TIFF = "damaged, or compressed in a way that is not supported: the TIFF cannot be decoded"
_CUT_JPEG = "cut short: the JPEG ends before its pixels do"
_CUT_PNG = "cut short: the PNG ends before its pixels do"

UNREADABLE = {
    "broken.png": "damaged: the PNG cannot be decoded",
    "broken_data_stream.png": "damaged: the PNG cannot be decoded",
    "crash-0c7e0e8e11ce787078f00b5b0ca409a167f070e0.tif": _DAMAGED_TIFF,
    "crash-0e16d3bfb83be87356d026d66919deaefca44dac.tif": _DAMAGED_TIFF,
    "crash-1152ec2d1a1a71395b6f2ce6721c38924d025bf3.tif": _DAMAGED_TIFF,
    "crash-1185209cf7655b5aed8ae5e77784dfdd18ab59e9.tif": _DAMAGED_TIFF,
    "crash-2020-10-test.tif": _DAMAGED_TIFF,
    "crash-338516dbd2f0e83caddb8ce256c22db3bd6dc40f.tif": _DAMAGED_TIFF,
    "crash-4f085cc12ece8cde18758d42608bed6a2a2cfb1c.tif": _DAMAGED_TIFF,
    "crash-63b1dffefc8c075ddc606c0a2f5fdc15ece78863.tif": _DAMAGED_TIFF,
    "crash-86214e58da443d2b80820cff9677a38a33dcbbca.tif": _DAMAGED_TIFF,
    "crash-f46f5b2f43c370fe65706c11449f567ecc345e74.tif": _DAMAGED_TIFF,
    "decompression_bomb.gif": (
        "too large: 4,365 megapixels, and at most 80 are read from a GIF. Make it smaller first"
    ),
    "hopper_unknown_pixel_mode.tif": "a kind of TIFF that is not supported (or damaged)",
    "hopper_webp.tif": _DAMAGED_TIFF,
    "l2rgb_read.bmp": (
        "too large: 3158064 x 48 is 152 megapixels, and at most 80 are read from a BMP. Make it smaller first"
    ),
    "libtiff_segfault.tif": _DAMAGED_TIFF,
    "negative_size.ppm": "a text file, not a picture",
    "oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif": _DAMAGED_TIFF,
    "png_decompression_dos.png": "hostile: a note inside this PNG unpacks to more than is reasonable",
    "seek_too_large.tif": _DAMAGED_TIFF,
    "tiff_overflow_rows_per_strip.tif": _DAMAGED_TIFF,
    "truncated_end_chunk.png": _CUT_PNG,
    "truncated_image.png": _CUT_PNG,
    "truncated_jpeg.jpg": _CUT_JPEG,
    "ultrahdr.jpg": _CUT_JPEG,
    "unknown_compression_method.png": "a kind of PNG that is not supported (or damaged)",
    "zero_width.gif": "damaged: the GIF cannot be decoded",
}
