"""A recognisable value for every tag that can identify a person or a place.

Whatever leaves the service (answer, log line, metric, row, error) must contain none of them.
"""

from pydicom.dataset import Dataset

NAMES = (
    "PatientName",
    "PatientMotherBirthName",
    "OtherPatientNames",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "ResponsiblePerson",
)
LONG_TEXTS = (
    "PatientID",
    "OtherPatientIDs",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestingService",
    "DeviceSerialNumber",
    "PatientAddress",
    "Occupation",
    "MedicalRecordLocator",
)
SHORT_TEXTS = ("AccessionNumber", "StudyID", "StationName", "PatientTelephoneNumbers")
FREE_TEXTS = (
    "PatientComments",
    "ImageComments",
    "AdditionalPatientHistory",
    "InstitutionAddress",
    "DerivationDescription",
)
DATES = {
    "PatientBirthDate": "19470613",
    "StudyDate": "20170907",
    "SeriesDate": "20170908",
    "AcquisitionDate": "20170910",
    "ContentDate": "20170911",
}
TIMES = {"StudyTime": "031415.926535", "AcquisitionTime": "031416.271828"}
UIDS = {
    "StudyInstanceUID": "1.2.826.0.1.3680043.9.8675309.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.9.8675309.2",
    "SOPInstanceUID": "1.2.826.0.1.3680043.9.8675309.3",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.9.8675309.4",
    "DeviceUID": "1.2.826.0.1.3680043.9.8675309.5",
}


def sentinel_tags() -> tuple[dict[str, object], tuple[str, ...]]:
    """Tags by keyword, and every sentinel in them, also one in a sequence and one beyond ASCII."""
    texts = {
        **{keyword: f"ZQ{keyword}^J\u00d6RG" for keyword in NAMES},
        **{keyword: f"ZQ{keyword}" for keyword in LONG_TEXTS + FREE_TEXTS},
        **{keyword: f"ZQ{keyword}"[:16] for keyword in SHORT_TEXTS},
    }
    request = Dataset()
    request.RequestedProcedureID = "ZQNestedRequest"
    values = {**texts, **DATES, **TIMES, **UIDS}
    tags: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 192",
        **values,
        "RequestAttributesSequence": [request],
    }
    return tags, (*values.values(), "ZQNestedRequest", "J\u00d6RG")
