"""The fields of a Windows event, in the flat form of NXLog and Winlogbeat."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, rename="pascal"):
    """The fields that are read of any of them; a number may be told as a text, as it is here."""

    event_id: int = msgspec.field(name="EventID")
    source_name: str = ""
    hostname: str = ""
    utc_time: str = ""
    timestamp: str = msgspec.field(name="@timestamp", default="")
    channel: str = ""
    image: str = ""
    new_process_name: str = ""
    command_line: str = ""
    parent_image: str = ""
    parent_process_name: str = ""
    source_image: str = ""
    target_image: str = ""
    target_filename: str = ""
    target_object: str = ""
    details: str = ""
    process_name: str = ""
    object_name: str = ""
    object_type: str = ""
    properties: str = ""
    granted_access: str = ""
    access_mask: str = ""
    subject_user_name: str = ""
    target_user_name: str = ""
    target_server_name: str = ""
    logon_type: str | int = ""
    logon_process_name: str = ""
    service_name: str = ""
    service_file_name: str = ""
    image_path: str = ""
    task_name: str = ""
    task_content: str = ""
    task_content_new: str = ""
    share_name: str = ""
    relative_target_name: str = ""
    script_block_text: str = ""
    payload: str = ""
    ip_address: str = ""
    source_ip: str = ""
    destination_ip: str = ""
    destination_port: str = ""
    protocol: str = ""
    query_name: str = ""
    query_status: str = ""
