"""Subject: the upload path of the published package, given finished event models.

    python -m benchmarks.subjects.published_upload EVENTS_FILE URL BATCH_SIZE

Runs in its environment, so it imports nothing of ours. What it measures is what its background job does with
a batch: ``create_events_batch``; making the models is left out, in its favour.
"""

import json
import sys
import time
from itertools import cycle, islice

from moesifapi.configuration import Configuration
from moesifapi.controllers.api_controller import ApiController
from moesifapi.models import EventModel


def main(events_file: str, url: str, batch_size: str) -> None:
    Configuration.BASE_URI = url
    Configuration.application_id = "application-of-the-benchmark"
    Configuration.version = "moesifasgi-python/1.1.8"
    with open(events_file, encoding="utf-8") as file:
        models = cycle([EventModel.from_dictionary(event) for event in json.load(file)])
    controller = ApiController()
    for line in sys.stdin:
        count, spent = int(line), 0.0
        while count > 0:
            batch = list(islice(models, min(count, int(batch_size))))
            began = time.process_time()
            controller.create_events_batch(batch)
            spent += time.process_time() - began
            count -= len(batch)
        print(json.dumps({"cpu_s": spent}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
