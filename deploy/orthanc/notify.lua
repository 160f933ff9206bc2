-- Tells cxr-triage the id of each new instance, and nothing else of it.
--
-- Orthanc has one Lua context, and its REST API waits for it: so nothing is computed and nothing is
-- retried here. A service that does not answer is left in peace for a while; it reads Orthanc's log
-- of changes by itself and misses nothing. This script only makes it quicker.
--
-- Configured by a section of Orthanc's own configuration:
--   "CxrTriage": {"NotifyUrl": "https://cxr-triage:8443/notify", "ApiKeyFile": "/run/secrets/key"}

local FIRST_PAUSE_SECONDS = 30
local LONGEST_PAUSE_SECONDS = 600
local TIMEOUT_SECONDS = 1

local ACCEPTED = '"accepted":true'

local configuration = GetOrthancConfiguration()["CxrTriage"] or {}
local url = configuration["NotifyUrl"]
local headers = {["Content-Type"] = "text/plain"}
local pause = FIRST_PAUSE_SECONDS
local quiet_until = 0

if configuration["ApiKeyFile"] then
  local file = io.open(configuration["ApiKeyFile"], "r")
  if file then
    headers["X-API-Key"] = file:read("*l")
    file:close()
  else
    print("cxr-triage: the file of the API key cannot be read; instances are not announced")
    url = nil
  end
end

-- Not there before Orthanc 1.11; calling what is not there ends the script, and Orthanc's start.
if SetHttpTimeout then
  SetHttpTimeout(TIMEOUT_SECONDS)
end

function OnStoredInstance(id, tags, metadata, origin)
  local modality = tags["Modality"]
  if not url or (modality ~= "CR" and modality ~= "DX") or os.time() < quiet_until then
    return
  end
  -- HttpPost returns the body whatever the status is, and nothing without an answer.
  local answer = HttpPost(url, id, headers)
  if answer and string.find(answer, ACCEPTED, 1, true) then
    pause = FIRST_PAUSE_SECONDS
  else
    print("cxr-triage: a notice was not accepted; none is sent for " .. pause .. " seconds")
    quiet_until = os.time() + pause
    pause = math.min(2 * pause, LONGEST_PAUSE_SECONDS)
  end
end
