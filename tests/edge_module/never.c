/* What Envoy has, and a program without requests never comes to call. */
#include "check.h"

#define NEVER(name)                                                                                                     \
    void envoy_dynamic_module_callback_##name(void);                                                                    \
    void envoy_dynamic_module_callback_##name(void) { CHECK(!"called"); }

NEVER(http_filter_increment_counter)
NEVER(http_filter_get_worker_index)
NEVER(http_get_headers_size)
NEVER(http_get_headers)
NEVER(http_set_header)
NEVER(http_get_body_size)
NEVER(http_get_body_chunks_size)
NEVER(http_get_body_chunks)
NEVER(http_set_buffer_limit)
NEVER(http_send_response)
NEVER(http_filter_continue_decoding)
NEVER(get_most_specific_route_config)
NEVER(http_get_metadata_string)
NEVER(http_filter_get_attribute_int)
NEVER(http_filter_get_attribute_string)
NEVER(http_get_cluster_name)
