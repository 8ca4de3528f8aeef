package strictjson

// A MemberList is the members of one JSON object, in their order.
type MemberList []Member

// Value returns the value of a member as it stands in the document, or "" if there is none.
func (m MemberList) Value(name string) string {
	for _, member := range m {
		if member.Name == name {
			return member.Value
		}
	}
	return ""
}

// Text returns the value of a member that is a string, and "" for any other. It may be a part of
// the document, and keep it in memory.
func (m MemberList) Text(name string) string {
	text, _ := String(m.Value(name))
	return text
}
