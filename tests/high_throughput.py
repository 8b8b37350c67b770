"""Two small High-Throughput JPEG 2000 code streams, since no encoder of them is in reach.

Both hold :func:`samples`, of 12 bits, and were made by OpenJPH 0.26.3 through imagecodecs 2026.3.6:
``imagecodecs.htj2k_encode(samples() - 2048, reversible=True)`` as int16, and
``imagecodecs.htj2k_encode(samples(), reversible=False)`` as uint16, which its own decoder gives back
within one count.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 24, 32


def samples() -> NDArray[Any]:
    """What was encoded, (rows, columns) uint16 of 12 bits."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    values = np.round((np.sin(x / 5) + np.cos(y / 4) + 2) / 4 * 4095).astype(int)
    values = np.clip(values ^ ((7 * x + 13 * y) % 5), 0, 4095)
    values[0, 0], values[-1, -1] = 0, 4095
    return values.astype(np.uint16)


REVERSIBLE = b64decode(
    "/0//UQApQAAAAAAgAAAAGAAAAAAAAAAAAAAAIAAAABgAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCI"
    "kJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAzsAAf+TwAAl+AGHdADAABNAABNAABKAb/0C"
    "h3QAg/0DB3QA3QGHdADAABVQAATwAATAHAqEpjf9AMGUAH/t9wCiNAB/AwGBdADAABa0AAFsQAAVwJCYQxtt5durR8/bdj35AM/m"
    "IYCzOADufI/U+BzCexivjMAQBjH+Ak9zEMAzOABfBQAAAAD+QzPxAZs3AMAAF38AAF6HAABdEDgWZQkmEIiNF/xFNo8W4dQpxEOJ"
    "ScHIdMvephKpkU2ePh5GI6HAcM3j5hMpklCwAzjtEnOOo6EABZYAwFMwAeJacIkEWgfXAZaIMV6H11J8j34v0891cp2MH9fLdgzY"
    "OVjPkD2DdgzaM2jH0B3D+hICCSAx+TXr5NZcAANaAMDTMwH9DVBAANlqh47GWs9qE2CHQUD0YEJGY8jhQ+svSUljuz8AwAAvrKAA"
    "F9fwAAvdAAiJiwY0QDw0UGhiCvU767cxSg0JG4ySAAYSHJ4IWCCLrEeoI/P5bWpn74YKSEpFIDNACM24gHSYicz7j9TPHxEHmowG"
    "SKo5Md5wiiS6mxxnlL3CttEAqYiMBEqLRhjAlQBX3aeUVULvDxGMighJxwEzARICVbCleH8IZ1m3V7CAZQb8ABMkcI0deHWcj146"
    "KvPI50PrO6VO1nA50MA9es5HehiXh0EIslSarMqpRIGrPwI4UUFPXAC4PIudR5Zy5Zk2XmEG0DwqwDzLDk900meLXOzIIpda+MBB"
    "Hywy0pPv2s9uuf813nP0P6967L7XXrX8tI/4rvP7dZjvum+DO0+Hd5jzuG+D+687O8iii0uC+CKzHwLqZISvsvjjkS9IdCx0OGRA"
    "cExgMFhAbESESHAsZDxwRGBAbDxsNNj0oPoBhAkCEIAIIQgAgiGADHAxCgQ1tfKFyuC2umtesklwkkMNa04AAA1yABIYxIY0kAMy"
    "A/kxQIABJISGMW7b9HgGUFYBRL+QdcEgAuaOEEBOxPGYt5KSYi2GVFjJNk5ywmA+QBnDZOxROB5Rythr0JNMCk11GQE6AnjAAGjz"
    "AFFJUA1GjWBZ3zJnJPD38Ku7veRR2J2NTxekXg3O+AMzs81us4Q4YzoC/9k="
)
"""``samples() - 2048``, signed."""
IRREVERSIBLE = b64decode(
    "/0//UQApQAAAAAAgAAAAGAAAAAAAAAAAAAAAIAAAABgAAAAAAAAAAAABDwEB/1AACAACAAAAKv9SAAwAAgABAAUEBEAA/1wAIyK3"
    "GLbqtuq2vK8ArwCu4qdMp0ynZJADkAOQRpfSl9KXYf9kABcAAU9wZW5KUEggVmVyIDAuMjYuMy7/kAAKAAAAAAK+AAH/k8AAATDb"
    "jgeHdADAAAE0AAATQAABMDnqBId0AKuVBQd0AGX+Agd0AMAAAq4AABUQAACYPF9+z+jr+AIBtAAX6hD7AQI0AIU2AYF0AMAABbMA"
    "ABbUAABXAJaAntvQl27t5juyIwvz62Y7AZ/+UgCzOADc+XyUirmAh27doSuXyMW4OJcCT3MhABG4ABOdKCkgikAAq+yBizgAwAAX"
    "ewAAXoUAAF0I7A8whheeOL3OmS2dRKCBaBI0PirLSBcHMy0tpaQghA4OREBKIXlx8XLz0ksO0vkJw0Q84IA4wiywcGM+AEpncooI"
    "sAFZIBokBAqe842P39n4pVmaxde5rQHBt5B7AdE3EH7/YG8g/AKyLyApAAABBAAAGOSa9dr1ya0AYAMzAb3AAccBOBEMRBnMA4nl"
    "B4UB/kBCWqiO2pH4yMPsoAs/AMAAF79AABfQEAAF7CAKqUVTXCASvtF8D0WRufnADwIYqIjQ+QiAoig1ONMLCiInIDlMBMHSj5yZ"
    "WAtc5UOhMaaK1MREMMITIrJfFSWRkZFiUEQIyCqEJdYAiot4BJO9/2ok7cPJj85cd6nPnR1/zo5+Hfna89e766Dzpc+LqJ40jFZG"
    "mcZtSaB7MAOkmMpFVGAugALEAFIZQAALFGC4wRyIqvTTgaVS336DWu+qfqpLvQi6nUzh6In9Bv6FXrGfyDHwCp2yn9w1dEudIq/U"
    "LfYLXlO4OAMAAIIBAAggAADzEICm7+502xVXe9/jnX++SXzPfjz9bX1kPEu76zYv11F1B98+KRIyQEs3A1nIwkoFgiCqKC8DGAQE"
    "mjo2Qh5ggzMVdOhCjEAHjS4hksCj5y4m7KCCET8sArqowsg4UUu90Gp3r66svv78HnzX173KmkvpSD+2s3z7TxcO8xv8zA11mqR6"
    "VN2nCHDzMAP/2Q=="
)
"""``samples()``, unsigned, with loss."""
