"""The demo's input, written by the project itself: invented cases, products, documents and people."""

from vigimesh.app.demo.writing import DEMO_DAY, DemoExpectations, poison_record, write_demo

__all__ = ["DEMO_DAY", "DemoExpectations", "poison_record", "write_demo"]
