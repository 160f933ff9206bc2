"""Web pages over the shadow log: try one radiograph, review what was recorded, decide."""
