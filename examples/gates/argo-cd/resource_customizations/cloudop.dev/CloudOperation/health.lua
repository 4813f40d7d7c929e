local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "waiting for the controller"}
end
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local succeeded = conditions.Succeeded
local stalled = conditions.Stalled
if succeeded == nil then
  return {status = "Progressing", message = "waiting for the controller"}
end
if succeeded.status == "True" then
  return {status = "Healthy", message = succeeded.message}
end
if succeeded.status == "False" then
  return {status = "Degraded", message = succeeded.message}
end
if stalled ~= nil and stalled.status == "True" then
  return {status = "Degraded", message = stalled.message}
end
if succeeded.reason == "Suspended" then
  return {status = "Suspended", message = succeeded.message}
end
return {status = "Progressing", message = succeeded.message}
