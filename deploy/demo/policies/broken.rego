# A policy with a mistake in its last condition: nothing defines the hour of the day.
package portcullis.access

deny contains "after_hours" if {
	input.action == "POST"
	input.path == "/payments"
	hour_of_day > 20
}
