"""cyconv.dask on a cluster of processes, one of which is killed in the middle."""

import os
import signal
import time

import numpy as np
import pytest

import cyconv
import cyconv.ndimage as ndi

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

import cyconv.dask as door

pytestmark = [
    pytest.mark.filterwarnings("default"),  # what a dying worker leaves behind is not ours
    pytest.mark.skipif(os.name != "posix", reason="kills a process"),
]


@pytest.fixture(scope="module")
def client():
    """Two worker processes of two threads, started anew when they die."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_processes_compute_what_memory_does(client):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-9, 9, (2, 3, 50, 41)), rng.integers(-9, 9, (4, 3, 3, 5))
    lazy = da.from_array(x, chunks=(1, 2, 13, 8))
    keywords = {"stride": (1, 2), "padding": 3, "padding_mode": "circular"}
    y = door.conv2d(lazy, w, **keywords).compute(scheduler=client)
    np.testing.assert_array_equal(y, cyconv.conv2d(x, w, **keywords))
    y = door.ndimage.sobel(lazy, mode="wrap").compute(scheduler=client)
    np.testing.assert_array_equal(y, ndi.sobel(x, mode="wrap"))
    y = door.ndimage.generic_laplace(lazy, lambda *a: ndi.sobel(*a), depth=1)  # by value
    np.testing.assert_array_equal(y.compute(scheduler=client), ndi.generic_laplace(x, ndi.sobel))


def test_a_worker_that_is_killed_in_the_middle(client):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 200, (160, 160)).astype(np.int32)

    def slowly(block):
        time.sleep(0.05)
        return block

    lazy = da.from_array(x, chunks=16).map_blocks(slowly, dtype=x.dtype, meta=x[:0, :0])
    future = client.compute(door.ndimage.uniform_filter(lazy, 9, mode="wrap"))
    victim = next(iter(client.run(os.getpid).values()))
    time.sleep(0.5)  # of at least 100 * 0.05 / 4 = 1.25 s
    assert not future.done()
    os.kill(victim, signal.SIGKILL)
    np.testing.assert_array_equal(future.result(timeout=90), ndi.uniform_filter(x, 9, mode="wrap"))
