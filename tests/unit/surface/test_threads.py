"""Threads by the amount of work."""

import numba
import pytest

from tomosurf.surface.threads import EACH, threads_for


@pytest.mark.parametrize(
    ("crossings", "threads"), [(0, 1), (EACH, 1), (2 * EACH - 1, 1), (2 * EACH, 2), (1000 * EACH, 2)]
)
def test_work_gets_its_threads_and_no_more_than_there_are(crossings, threads):
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread is all there is")
    before = numba.get_num_threads()
    numba.set_num_threads(2)
    try:
        with threads_for(crossings):
            assert numba.get_num_threads() == threads
        assert numba.get_num_threads() == 2
    finally:
        numba.set_num_threads(before)


def test_an_error_doesnt_keep_the_number_low():
    before = numba.get_num_threads()
    with pytest.raises(KeyError), threads_for(0):
        raise KeyError
    assert numba.get_num_threads() == before
