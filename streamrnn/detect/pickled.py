"""A detector as plain values and back, for libraries that pickle what they hold."""
from streamrnn.detect.detector import Detector
from streamrnn.model.model import Model


def parts_of(detector):
    """(config, tensors, the own stream's state): all of a detector but the streams it keeps by id."""
    return detector.model.config(), dict(detector.model.tensors), detector.state()


def again(parts):
    """The detector that `parts_of` took apart."""
    config, tensors, state = parts
    detector = Detector(Model.from_config(config, tensors=tensors))
    detector.set_state(state)
    return detector
