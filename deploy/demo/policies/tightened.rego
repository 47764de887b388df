# An analyst's order of the day: agents hold no live streams.
package portcullis.access

deny contains "no_streams_for_agents" if {
	input.stream
	count(input.principal.actors) > 0
}
