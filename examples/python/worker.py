"""The job beside the shop: it fills the cache when that is empty, and refreshes the rows that changed last before they expire."""
import time
import traceback


def work(source, cache, rows, every):
    while True:
        try:
            cache.refresh(rows)
        except Exception:
            traceback.print_exc(limit=-2)
        time.sleep(every)
